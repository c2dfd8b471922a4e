/* Ratings of players by what they did to each other. */
#ifndef RL_ELO_H
#define RL_ELO_H

#include "base/status.h"

#include <stddef.h>

/* What a player of rating a scores against one of b: 1 won, 1/2 drawn (Elo 1978). */
double elo_expected(double a, double b);
/* Both ratings after one game in which a scored `score`; k is how much a surprise moves them. */
void elo_update(double *a, double *b, double score, double k);

/* The ratings that make a table of results likeliest (Bradley & Terry 1952, by Hunter 2004's MM),
 * with mean `mean`. score (P, P): points that row scored against column; games (P, P), symmetric.
 * `prior` draws against a player of the mean rating keep who won or lost all finite; more than 0.
 * Ratings do not depend on the order of games. */
garam_status elo_fit(double *rating, const double *score, const double *games, size_t n_players,
                     double mean, double prior, garam_error *err);

#endif
