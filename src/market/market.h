/* What a table means as a market: roles of its columns, features known at their time, labels
 * with the time their outcome is known, costs, a backtest, and a simulator with a known optimum.
 * The map of this room, in the order of its files. */
#ifndef MARKET_MARKET_H
#define MARKET_MARKET_H

#include "table/table.h"

/* ---- bars.c: which column is what ------------------------------------------------------- */

enum { BARS_MAX_LEVELS = 10 };

/* Borrowed or derived columns of a table, one value a row, oldest first. Without trades, open
 * to close are mids of bid and ask. Absent roles are NULL. */
typedef struct bars {
  const table *source;
  size_t n_rows;
  const int64_t *time; /* as stamped; NULL when the table has no time */
  int64_t *known_at;   /* when the row is complete: stamp + step for bars stamped at their
                          start, the stamp itself for snapshots; row number without time */
  int64_t step;
  bool snapshots; /* a book: rows are moments, not intervals */
  const double *open, *high, *low, *close, *volume;
  const double *bid, *ask;           /* at the row's end; NaN where a side is empty */
  const double *bid_open, *ask_open; /* quote bars: at the row's start */
  const double *bid_size, *ask_size; /* best level */
  int n_levels;                      /* book levels beyond and with the best; 0 without a book */
  const double *level_bid[BARS_MAX_LEVELS], *level_ask[BARS_MAX_LEVELS];
  const double *level_bid_size[BARS_MAX_LEVELS], *level_ask_size[BARS_MAX_LEVELS];
  size_t n_one_sided;   /* book rows whose close is the only side there is */
  char role_names[512]; /* "close=Adj Close, volume=Volume": for the record */
  struct arena *memory; /* of derived columns */
} bars;

typedef struct bars_config {
  char price[64]; /* column to trade; "" finds close, mid, last, price */
  int stamp;      /* auto, start, end: what a bar's time means */
  int one_sided;  /* refuse, use: book rows with only bids or only asks (a price limit) */
} bars_config;
extern const opt_row bars_options[];
extern const size_t bars_n_options;

/* Errors: no price column; text in a price column; prices missing or not above zero (row and
 * line named); one-sided books; unsorted or duplicate times (line named, with the --repair that
 * would help). `config` NULL: the defaults. The table must outlive the bars. */
/* Is this the name of a quote, a book level or its size? */
bool bars_is_book_column(const char *name);
garam_status bars_open(bars **out, const table *t, const bars_config *config, garam_error *err);
void bars_free(bars *b);

typedef struct price_jump {
  size_t row;
  double ratio; /* open after / close before */
  double split; /* shares after for each before: 2 for 2:1, 0.05 for 1:20; else 0 */
} price_jump;
/* Jumps that look like unadjusted splits (jump.c): the opening gap is large beside the usual
 * move of that series, at an overnight gap, near p:q, and not traded like a crash. A jump that is
 * far beyond the usual but near no p:q (a hole in the data, a crash) comes back with split 0.
 * Returns the number found; fills at most n. */
size_t bars_find_jumps(price_jump *out, size_t n, const bars *b);

/* ---- feature.c: what was known at each row ------------------------------------------------ */

/* A family of features is one record in one file (feature_*.c), listed in feature_families. */
typedef struct feature_spec {
  char families[256]; /* "returns,volatility,..." or "auto" or "all" */
  int max_lag;        /* longest look back, rows */
  bool raw_columns;   /* numeric columns without a role are features as well */
} feature_spec;
extern const opt_row feature_options[];
extern const size_t feature_n_options;

typedef struct feature_matrix {
  size_t n_rows, n_features;
  char **names;
  float *x;          /* (n_rows, n_features); NaN where the look back is not there yet */
  size_t warmup;     /* rows at the beginning with NaN by look back alone */
  int64_t *known_at; /* (n_rows): bars' known_at */
} feature_matrix;
garam_status features_compute(feature_matrix **out, const bars *b, const feature_spec *spec,
                              garam_error *err);
/* Exactly these features, in this order (a package's list). GARAM_MISMATCH names the first that
 * the data cannot give. */
garam_status features_compute_named(feature_matrix **out, const bars *b, char *const *names,
                                    size_t n_names, garam_error *err);
void feature_matrix_free(feature_matrix *m);
/* Rows of history that the named features need before their first value. */
garam_status features_look_back(size_t *out, char *const *names, size_t n_names, garam_error *err);

/* ---- label.c: what happened next ----------------------------------------------------------- */

enum { LABEL_DOWN, LABEL_FLAT, LABEL_UP };
typedef enum label_kind { LABEL_HORIZON, LABEL_BARRIER, LABEL_SMOOTH } label_kind;

typedef struct label_spec {
  int kind;         /* horizon, barrier, smooth */
  int horizon;      /* rows ahead (barrier: the vertical one) */
  double dead_band; /* < 0: chosen on training rows so that the classes are near thirds; else a
                       log return below which a move is flat; 0 gives two classes */
  double barrier;   /* barrier width in units of realised volatility over the horizon */
  int volatility_window;
  bool smooth_past; /* smooth: against the mean of the last `horizon` rows; leaks, and warns */
  bool regression;  /* value = log return over the horizon, divided by nothing */
} label_spec;
extern const opt_row label_options[];
extern const size_t label_n_options;

typedef struct labels {
  size_t n_rows;
  int n_classes;     /* 3: down, flat, up; 2: down, up (no move is down); 0: regression */
  int32_t *y;        /* -1 where the outcome is not known (end of data); regression: 0 or -1 */
  double *value;     /* log return to the label's end; NaN where unknown */
  int64_t *end;      /* the time the outcome is known (known_at of the row it ends on);
                        INT64_MAX where unknown */
  uint32_t *end_row; /* UINT32_MAX where unknown */
  double dead_band;  /* as used; above 0 when chosen, so that it asks for the same again */
  char warning[256]; /* smooth: what leaks */
} labels;
/* `train_rows`: the rows from which an automatic dead band may be chosen, [0, train_rows). */
garam_status labels_compute(labels **out, const bars *b, const label_spec *spec, size_t train_rows,
                            garam_error *err);
void labels_free(labels *l);

/* ---- audit.c: does anything peek? ------------------------------------------------------------ */

typedef struct leak {
  char column[64];
  char kind[24]; /* "peeks", "copies-target", "near-perfect" */
  int shift;     /* rows into the future that it seems to know */
  double score;  /* statistic; p-value in p */
  double p;
} leak;
/* Screens every numeric column (and computed feature) of the data against future returns: one
 * whose relation with the next row's return is beyond what its relation with past ones, and a
 * permutation, allow. Fills at most n; returns through *n_found. */
garam_status audit_leaks(leak *out, size_t n, size_t *n_found, const bars *b,
                         const feature_matrix *m, uint64_t seed, garam_error *err);
/* Screens the columns of a plain table against its target column: a copy of it (in a time series,
 * of one to come: shift), the target in another unit, or what alone tells the class. p is NaN. */
garam_status audit_target(leak *out, size_t n, size_t *n_found, const table *t, int target,
                          garam_error *err);
/* Recomputes features and labels with the future cut off at a sample of rows: the first value
 * that differs is an error. */
garam_status audit_recompute(const table *t, const bars_config *bc, const feature_spec *fs,
                             const label_spec *ls, size_t n_cuts, garam_error *err);

/* ---- backtest.c: what would have been earned --------------------------------------------------
 */

typedef struct cost_config {
  double spread;   /* whole spread as a share of price, used where no bid and ask exist */
  double fee;      /* share of traded value, a side */
  double slippage; /* share of traded value, a side */
} cost_config;
extern const opt_row cost_options[];
extern const size_t cost_n_options;

/* Where a decision of the row before is filled: the row's open; a snapshot's or a lone close's own
 * price. Half the spread there, as a share of the price: of quotes where there are some. */
double cost_fill_price(const bars *b, size_t row);
double cost_half_spread(const bars *b, size_t row, double price, const cost_config *costs);

typedef struct backtest_report {
  size_t n_rows;
  double *equity;       /* (n_rows) strategy, starts at 1 */
  double *buy_and_hold; /* (n_rows) net of one entry and one exit */
  int64_t *time;
  double net_return, gross_return, buy_and_hold_return; /* shares of the first equity */
  double costs;                                         /* in the same units: gross = net + costs */
  double sharpe;                                        /* annualised by the rows' own time */
  double deflated_sharpe; /* probability that the true Sharpe is above 0 after n_trials
                             (Bailey & Lopez de Prado 2014) */
  double buy_and_hold_sharpe;
  double max_drawdown, turnover; /* turnover: traded value / mean equity, a year */
  size_t n_trades;
  double periods_per_year;
} backtest_report;
/* position[t] in [-1, 1] is decided with what is known at row rows[t]; it is filled on the next
 * bar (its open, at ask or bid; a snapshot's own quotes), and held, in units, until the position
 * changes. rows ascend. Equity t is marked at the close of rows[t]. What is held at the last row
 * is sold at its close, so the last position is never taken. Ratios are NaN without time. */
garam_status backtest_run(backtest_report *out, const bars *b, const uint32_t *rows,
                          const double *position, size_t n, const cost_config *costs, int n_trials,
                          garam_error *err);
void backtest_deinit(backtest_report *r);
/* Bailey and Lopez de Prado, "The deflated Sharpe ratio", Journal of Portfolio Management 40
 * (2014): the probability that the true ratio is above the best that n_trials of luck give.
 * `ratio` is a row's, not a year's; of n returns; kurtosis is 3 for a normal; trial_variance is
 * that of the trials' ratios. */
double backtest_deflated_sharpe(double ratio, size_t n, double skew, double kurtosis,
                                double trial_variance, int n_trials);

/* ---- simulator.c: a market whose odds are known --------------------------------------------- */

typedef struct simulate_config {
  int64_t rows;
  int64_t seed;
  int regimes;        /* 1: no regimes; hidden Markov chain of drift and momentum */
  double momentum;    /* strength; 0 with drift 0 is a random walk */
  double volatility;  /* a step's standard deviation */
  double clustering;  /* GARCH-like persistence of volatility, [0,1) */
  double persistence; /* probability to stay in a regime */
  int64_t step_seconds;
  double start_price;
  bool posterior; /* extra columns p_down, p_flat, p_up */
} simulate_config;
extern const opt_row simulate_options[];
extern const size_t simulate_n_options;

/* Bars time,open,high,low,close,volume and, if asked, the exact probability of the next row's
 * class given everything up to the row. The classes are those of LABEL_HORIZON, horizon 1, with
 * the dead band that *dead_band returns. *bayes is the share that the optimal rule gets right in
 * expectation: the mean over rows of the largest posterior. */
garam_status simulate(table **out, const simulate_config *config, double *bayes, double *dead_band,
                      garam_error *err);

#endif
