/* Dynamic selection: which members to trust for one row, by how they did on the validation rows
 * that are nearest to it. The validation rows come before what is predicted, and after what the
 * members were trained on. Surveyed in Cruz, Sabourin & Cavalcanti, Information Fusion 41 (2018).
 *
 *   knora-e   members that are right on all k neighbours; on fewer while there are none
 *   knora-u   as many votes as neighbours that a member is right on (both: Ko, Sabourin & Britto,
 *             Pattern Recognition 2008)
 *   meta-des  a naive Bayes of five kinds of evidence says who is competent (Cruz, Sabourin,
 *             Cavalcanti & Ren, Pattern Recognition 2015)
 *   rrc       better than chance by the randomised reference classifier, every validation row
 *             weighed by exp(-d^2) (Woloszynski & Kurzynski, Pattern Recognition 2011)
 *   local     weights 1 / local squared error, of members in the better half of the errors (Rooney
 *             et al. 2004)
 *
 * For values (K = 1) "right" is to be in the better half of the members' errors at a row, an odds
 * is exp(-|error| / typical error), and the reference is a normal with the row's mean squared
 * error: rrc takes the members that are more likely than not to be nearer than it.
 *
 * Nothing is allocated after des_fit. */
#ifndef ENSEMBLE_DES_H
#define ENSEMBLE_DES_H

#include "base/opt.h"
#include "learn/package.h"

typedef enum des_method { DES_KNORA_E, DES_KNORA_U, DES_META, DES_RRC, DES_LOCAL } des_method;
extern const char *const des_method_names[]; /* NULL at the end */

typedef struct des_config {
  int method;     /* des_method */
  int neighbours; /* rows in the region of competence */
  int profiles;   /* meta-des: rows that are nearest by what the members answer */
  bool vote;      /* members vote for their likeliest class; else their odds are averaged */
} des_config;
extern const opt_row des_options[];
extern const size_t des_n_options;

enum { DES_MOST_NEIGHBOURS = 64, DES_LANES = 16 };

/* Exact nearest neighbours among a fixed set of rows. */
typedef struct des_near {
  size_t n, width, stride; /* stride: width up to a multiple of 16 floats, zeros behind */
  float *x;                /* (n, stride) */
} des_near;
typedef struct des_neighbour {
  float distance; /* squared */
  uint32_t row;
} des_neighbour;
garam_status des_near_init(des_near *out, const float *x, size_t n, size_t width, garam_error *err);
void des_near_deinit(des_near *s);
/* The k nearest, nearest first, the earlier row first among equals; without row `but` (UINT32_MAX:
 * none). query (stride) padded with zeros. Returns how many there are. */
size_t des_near_find(des_neighbour *out, size_t k, const des_near *s, const float *query,
                     uint32_t but);
float des_near_distance(const float *a, const float *b, size_t stride); /* squared */

typedef struct des {
  des_config config;
  size_t n, n_members, n_outputs; /* validation rows; K classes, or 1 for values */
  des_near rows, profiles;        /* profiles: meta-des only */
  float *score;                   /* (n, members, outputs): odds, or values */
  int32_t *y;                     /* (n); values: 0 */
  float *value;                   /* (n); classes: NULL */
  double typical;                 /* values: root mean square of all errors, over 0 */
  uint8_t *right;                 /* (n, members) */
  float *competence;              /* (n, members): rrc's source; local: squared error */
  double *evidence;               /* meta-des: (2, meta features + 1), logs; prior last */
  float *query;                   /* scratch: (rows.stride + profiles.stride) */
} des;

/* x (n, n_features) finite and scaled; score (n, members, outputs); y or value (n). */
garam_status des_fit(des *out, const des_config *config, const float *x, const float *score,
                     const int32_t *y, const float *value, size_t n, size_t n_features,
                     size_t n_members, size_t n_outputs, garam_error *err);
void des_deinit(des *d);
/* w (members), not negative, sum 1, for a row x (n_features) to which the members answer score
 * (members, outputs). */
void des_weights(des *d, double *w, const float *x, const float *score);
/* out (outputs): the weighted vote or mean. */
void des_answer(const des *d, float *out, const double *w, const float *score);

/* What des_fit was given is saved; loading fits again. */
garam_status des_save(const des *d, package_writer *w, const char *prefix, garam_error *err);
garam_status des_load(des *out, const des_config *config, size_t n_features, size_t n_members,
                      size_t n_outputs, const package_reader *r, const char *prefix,
                      garam_error *err);

/* Chance that the randomised reference classifier, whose mean supports are p (k), is right about y:
 * des_reference.c. */
double des_reference(const float *p, size_t k, int32_t y);

#endif
