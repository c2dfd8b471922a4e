/* Plans by batch size: see predictor.h. */
#include "train/predictor.h"

static const int64_t sizes[PREDICTOR_SIZES] = {1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 64, 128, 256};
enum { MAX_STEPS = 2048 }; /* as many as a training batch has: products are large enough there */

void predictor_init(predictor *p, const program_config *config, float *params,
                    const uint64_t *version) {
  *p = (predictor){.config = *config, .params = params, .version = version};
  p->config.training = false;
}

void predictor_deinit(predictor *p) {
  for (size_t i = 0; i < PREDICTOR_SIZES; i++) program_deinit(&p->programs[i]);
}

garam_status predictor_program(program **out, predictor *p, size_t n, garam_error *err) {
  REQUIRE(n > 0, "predictor_program: no windows");
  size_t at = PREDICTOR_SIZES - 1;
  while (at > 0 && ((size_t)sizes[at] > n || sizes[at] * p->config.context > MAX_STEPS)) at--;
  program *found = &p->programs[at];
  *out = found;
  if (found->plan) return GARAM_OK;
  p->config.batch = sizes[at];
  TRY(program_build(found, &p->config, err));
  const plan_config blocks = {.params = p->params, .params_version = p->version};
  garam_status status = program_compile(found, &blocks, err);
  if (status != GARAM_OK) program_deinit(found);
  return status;
}

garam_status predictor_warm(predictor *p, size_t n, garam_error *err) {
  while (n > 0) {
    program *next;
    TRY(predictor_program(&next, p, n, err));
    n %= (size_t)next->batch; /* as many of this size as there are; then smaller ones */
  }
  return GARAM_OK;
}
