/* The inside of the features: what a family is. A feature is a pure function of the rows
 * t - look_back + 1 .. t of the bars, so that the whole file, one streamed row and the tail of a
 * request give the same bits. To add one: a row in its family's list; to add a family: a file
 * feature_NAME.c with its record, and its name in feature_families (feature.c). */
#ifndef MARKET_FEATURE_H
#define MARKET_FEATURE_H

#include "market/market.h"

enum { /* roles that a feature needs */
       NEEDS_TIME = 1,
       NEEDS_OHLC = 2,
       NEEDS_VOLUME = 4,
       NEEDS_QUOTES = 8, /* bid and ask */
       NEEDS_SIZES = 16, /* and their sizes */
};

typedef struct feature feature;
struct feature {
  const char *name;
  unsigned needs;
  int n_levels;     /* book levels with sizes that it reads; 0 none */
  size_t look_back; /* rows read, its own among them */
  double (*at)(const bars *b, size_t t, const feature *f); /* NaN: undefined here */
  int lag, slow;                                           /* parameters, rows */
};

typedef struct feature_family {
  const char *name, *what;
  const feature *features;
  size_t n;
} feature_family;

extern const feature_family feature_returns, feature_volatility, feature_range, feature_volume,
    feature_average, feature_momentum, feature_oscillator, feature_calendar, feature_quote,
    feature_book;

/* Log return of one row; 0 where a price stands still. */
double feature_move(const bars *b, size_t t);

#endif
