/* Online aggregation of experts: weights that follow who has been right, one update a tick, with
 * regret that is bounded whatever the data do. No allocation after online_new.
 *
 * With p the weights, x_j the experts' predictions, m = sum p_j x_j the mixture's, a tick gives
 * each awake expert the instantaneous regret r_j = loss(m) - loss(x_j); an expert that sleeps has 0
 * (specialists: Freund, Schapire, Singer & Warmuth, "Using and combining predictors that
 * specialize", STOC 1997), and the weights of those awake are brought to sum 1.
 *
 *   hedge        p ~ exp(eta R)                     Freund & Schapire 1997; Cesa-Bianchi & Lugosi
 * 2006 adahedge     eta = ln n / mixability gap        de Rooij, van Erven, Grunwald & Koolen, JMLR
 * 2014 fixed-share  hedge, then a share to everyone    Herbster & Warmuth, Machine Learning 1998
 *   mlpol        p ~ eta_j max(R_j, 0)              Gaillard, Stoltz & van Erven, COLT 2014
 *   boa          p ~ eta_j exp(eta_j R~_j)          Wintenberger, Machine Learning 2017
 *   uniform      the mean, to compare with
 *
 * Predictions are values (k = 1) or probabilities over k classes. With the gradient trick losses
 * are linearised at the mixture: regret is then against the best convex combination of experts,
 * not only the best one. */
#ifndef ENSEMBLE_ONLINE_H
#define ENSEMBLE_ONLINE_H

#include "base/opt.h"
#include "learn/package.h"

typedef enum online_loss {
  ONLINE_SQUARED,
  ONLINE_LOG,
  ONLINE_ABSOLUTE,
  ONLINE_PINBALL
} online_loss;
extern const char *const online_loss_names[]; /* NULL at the end */
extern const char *const online_rule_names[]; /* NULL at the end */

typedef struct online_config {
  int rule;        /* index of online_rule_names */
  int loss;        /* online_loss; log: probabilities only (k > 1) */
  double rate;     /* hedge, fixed-share: eta; 0: chosen as ticks pass (log loss: 1) */
  double share;    /* fixed-share: of the weight that is dealt to everyone, a tick */
  double quantile; /* pinball: in (0, 1) */
  bool gradient;   /* losses linearised at the mixture */
  double range;    /* most that two losses of a tick can differ by; 0: learned as ticks pass */
} online_config;
extern const opt_row online_options[];
extern const size_t online_n_options;

enum { ONLINE_ROWS = 3, ONLINE_SCALARS = 4 };

typedef struct online_rule online_rule;
typedef struct online {
  online_config config;
  const online_rule *rule;
  size_t n;                      /* experts */
  uint64_t ticks;                /* updates so far */
  double *weight;                /* (n) of the next mixture, all awake: not negative, sum 1 */
  double *row[ONLINE_ROWS];      /* (n) each: the rule's state, see its file */
  double scalar[ONLINE_SCALARS]; /* the rule's own; [3] is the range so far */
  double *regret;                /* (n) sum of instantaneous regrets, for reports */
  double *block;                 /* owned: all of the above */
} online;

garam_status online_new(online *out, size_t n, const online_config *config, garam_error *err);
void online_deinit(online *o);
/* To the state after online_new; what `from` had (the same n and config). */
void online_reset(online *o);
void online_copy(online *to, const online *from);

/* The weights of a mixture in which only some are awake (NULL: all): p (n). All asleep: uniform. */
void online_weights(double *p, const online *o, const uint8_t *awake);
/* out (k) = sum p_j x[j], x (n, k). */
void online_mix(float *out, const double *p, const float *x, size_t n, size_t k);
/* One tick by predictions: x (n, k); the class y (k > 1), or the value (k = 1). `scratch` is
 * (2 n). A prediction that is not finite sleeps. Returns the mixture's loss, NaN when all slept. */
double online_update(online *o, const float *x, size_t k, int32_t y, double value,
                     const uint8_t *awake, double *scratch);
/* The same by losses (n) and the mixture's loss, which convexity makes at most sum p_j loss_j. */
void online_update_losses(online *o, const double *loss, double mixture, const uint8_t *awake);
double online_loss_of(const online_config *c, const float *x, size_t k, int32_t y, double value);

/* prefix + "weight", "rows", "scalars", "ticks". Loading believes nothing. */
garam_status online_save(const online *o, package_writer *w, const char *prefix, garam_error *err);
garam_status online_load(online *out, size_t n, const online_config *config,
                         const package_reader *r, const char *prefix, garam_error *err);

/* ---- for online_*.c: one rule a file ------------------------------------------------------- */

struct online_rule {
  const char *name;
  int n_rows;               /* of state in use */
  void (*begin)(online *o); /* rows and scalars are zero, weights uniform */
  /* r (n): instantaneous regrets, 0 for those asleep. Sets o->weight. */
  void (*learn)(online *o, const double *r, const uint8_t *awake);
  bool (*valid)(const online *o); /* is a loaded state one that learn could have left? NULL: yes */
};
extern const online_rule online_hedge, online_adahedge, online_fixed_share, online_mlpol,
    online_boa, online_uniform;
extern const online_rule *const online_rules[]; /* in the order of online_rule_names */
/* w (n) = prior_j exp(z_j) brought to sum 1; prior NULL: uniform. */
void online_softmax(double *w, const double *z, const double *prior, size_t n);

#endif
