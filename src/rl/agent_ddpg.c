/* DDPG (Lillicrap et al. 2016), TD3 (Fujimoto, van Hoof & Meger 2018), MADDPG (Lowe et al. 2017)
 * and MATD3 (Ackermann et al. 2019): one family, four names for its settings. Any of them takes
 * boxes and choices, one agent or many. */
#include "rl/agent_list.h"
#include "rl/off_policy_options.h"

const char *const off_policy_done_names[] = {"each", "any", NULL};
const char *const off_policy_when_names[] = {"step", "episode", NULL};
const char *const off_policy_sharing_names[] = {"joint", "critics", NULL};
const char *const off_policy_relaxation_names[] = {"straight-through", "soft", NULL};

/* clang-format off */
#define FAMILY_ROWS(RATE, GAMMA, KIND, COUNT, DELAY, SMOOTH)                                       \
  ACTOR_OPTIONS(off_policy_config, actor, "256,256"),                                              \
  OFF_POLICY_CRITIC_ROWS(RATE, KIND, COUNT, "256,256"),                                            \
  OFF_POLICY_LEARNING_ROWS(RATE, GAMMA, 64, 1000), OFF_POLICY_TARGET_ROWS(0.005, 0),               \
  {"policy-delay", OPT_INT, OFF_AT(policy_delay), .def = DELAY, .min = 1, .max = 100,              \
   .unit = "updates", .help = "of critics between those of actors and targets"},                   \
  {"target-noise", OPT_F64, OFF_AT(target_noise), .def = SMOOTH, .max = 10,                        \
   .help = "deviation of noise on the targets' actions"},                                          \
  {"target-noise-clip", OPT_F64, OFF_AT(target_noise_clip), .def = 0.5, .max = 10,                 \
   .help = "at most this much of it"},                                                             \
  OFF_POLICY_NOISE_ROWS(NOISE_GAUSSIAN, 0.1), OFF_POLICY_EPSILON_ROWS(0, 0, 0),                    \
  {"relaxation", OPT_ENUM, OFF_AT(relaxation), .choices = off_policy_relaxation_names,             \
   .help = "of choices: one-hots that pass the gradient of soft ones, or soft ones"},              \
  {"relaxation-temperature", OPT_F64, OFF_AT(relaxation_temperature), .def = 1, .min = 0.01,       \
   .max = 100, .help = "of the softmax that relaxes choices"},                                     \
  {"head-penalty", OPT_F64, OFF_AT(head_penalty), .max = 100,                                      \
   .help = "on the mean square of actors' outputs"}
/* clang-format on */

static const opt_row ddpg_rows[] = {FAMILY_ROWS(1e-3, 0.99, CRITIC_INDEPENDENT, 1, 1, 0)};
static const opt_row td3_rows[] = {FAMILY_ROWS(1e-3, 0.99, CRITIC_INDEPENDENT, 2, 2, 0.2)};
static const opt_row maddpg_rows[] = {FAMILY_ROWS(1e-3, 0.95, CRITIC_CENTRALISED, 1, 1, 0)};
static const opt_row matd3_rows[] = {FAMILY_ROWS(1e-3, 0.95, CRITIC_CENTRALISED, 2, 2, 0.2)};

/* ---- presets ----------------------------------------------------------------------------------
 */

/* specification.md's agent: batch norm and dropout in both nets, any end is everyone's, one update
 * when an episode ends, others' experience for critics alone. */
#define SKETCH                                                                                     \
  "hidden=256,256", "norm=batch", "dropout=0.1", "critic-hidden=256,256", "critic-norm=batch",     \
      "critic-dropout=0.1", "actor-rate=1e-4", "critic-rate=1e-4", "gamma=0.99", "tau=0.005",      \
      "replay=100000", "batch=64", "start-steps=0", "noise=gaussian", "noise-scale=0.1",           \
      "norm-rate=0.1", "done=any", "update-when=episode", "critics=independent"
static const char *const sketch[] = {SKETCH, NULL};
static const char *const sketch_many[] = {SKETCH, "communication=matrix", "mix-weights=share",
                                          "sharing=critics", NULL};

static const char *const pendulum[] = {"hidden=64,64", "critic-hidden=64,64", "batch=128",
                                       "gamma=0.98",   "noise-scale=0.1",     NULL};

/* Noise that pushes the same way for long is what finds the flag; an update for each ten steps is
 * enough afterwards. */
static const char *const mountain_car[] = {"hidden=64,64",
                                           "critic-hidden=64,64",
                                           "batch=128",
                                           "updates=0.1",
                                           "start-steps=0",
                                           "noise=ornstein-uhlenbeck",
                                           "noise-scale=0.5",
                                           "normalize-observations=true",
                                           NULL};

/* The authors' (tau and penalty, a replay of a million), with one net for a team, and updates that
 * are smaller and more: twice as many of half their batch at a third of their rate. With theirs
 * (1,024, .01, .01) simple_spread ends at -12 after 2M steps where these end at -9.7. */
#define PARTICLES                                                                                  \
  "hidden=64,64", "critic-hidden=64,64", "batch=512", "updates=0.02", "replay=1000000",            \
      "start-steps=25000", "tau=0.01", "clip=0.5", "head-penalty=0.001", "shared=true",            \
      "parallel=25", "actor-rate=0.003", "critic-rate=0.003"
static const char *const particles[] = {PARTICLES, NULL};

static const learner_preset one_presets[] = {{"sketch", sketch},
                                             {"Pendulum-v1", pendulum},
                                             {"MountainCarContinuous-v0", mountain_car},
                                             {NULL, NULL}};
static const learner_preset many_presets[] = {{"sketch", sketch_many},
                                              {"Pendulum-v1", pendulum},
                                              {"MountainCarContinuous-v0", mountain_car},
                                              {"simple_spread", particles},
                                              {"simple_tag", particles},
                                              {NULL, NULL}};

/* ---- records ----------------------------------------------------------------------------------
 */

static const off_policy_kind kind = {.box_head = ACTOR_TANH, .choice_head = ACTOR_CATEGORICAL};

static garam_status create(agent **out, const agent_ops *ops, const void *config,
                           const agent_setup *setup, garam_error *err) {
  return off_policy_create(out, &kind, ops, config, setup, err);
}

#define FAMILY(id, says, list)                                                                     \
  static garam_status id##_create(agent **out, const void *config, const agent_setup *setup,       \
                                  garam_error *err) {                                              \
    return create(out, &agent_##id, config, setup, err);                                           \
  }                                                                                                \
  const agent_ops agent_##id = {.name = #id,                                                       \
                                .summary = says,                                                   \
                                .options = id##_rows,                                              \
                                .n_options = COUNT_OF(id##_rows),                                  \
                                .config_size = sizeof(off_policy_config),                          \
                                .presets = list,                                                   \
                                .spaces = 1 << ENV_BOX | 1 << ENV_DISCRETE,                        \
                                .worlds = off_policy_worlds,                                       \
                                .create = id##_create,                                             \
                                .destroy = off_policy_destroy,                                     \
                                .act = off_policy_act,                                             \
                                .learn = off_policy_learn,                                         \
                                .policy = off_policy_policy,                                       \
                                .save = off_policy_save,                                           \
                                .load = off_policy_load,                                           \
                                .metrics = off_policy_metrics}

FAMILY(ddpg, "deterministic policy gradient", one_presets);
FAMILY(td3, "deterministic policy gradient with two critics, delayed", one_presets);
FAMILY(maddpg, "deterministic policy gradient with critics that see all agents", many_presets);
FAMILY(matd3, "maddpg with two critics, delayed", many_presets);
