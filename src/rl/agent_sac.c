/* Soft actor-critic (Haarnoja et al. 2018, the later paper: temperature learnt), and with
 * --no-targets --critic-norm batch CrossQ (Bhatt et al. 2024). Boxes alone; one agent or many. */
#include "rl/agent_list.h"
#include "rl/off_policy_options.h"

/* clang-format off */
static const opt_row rows[] = {
    ACTOR_OPTIONS(off_policy_config, actor, "256,256"),
    OFF_POLICY_CRITIC_ROWS(3e-4, CRITIC_INDEPENDENT, 2, "256,256"),
    OFF_POLICY_LEARNING_ROWS(3e-4, 0.99, 256, 1000), OFF_POLICY_TARGET_ROWS(0.005, 0),
    {"policy-delay", OPT_INT, OFF_AT(policy_delay), .def = 1, .min = 1, .max = 100,
     .unit = "updates", .help = "of critics between those of actors"},
    OFF_POLICY_NOISE_ROWS(NOISE_GAUSSIAN, 1),
    {"temperature", OPT_F64, OFF_AT(entropy_start), .def = 1, .min = 1e-6, .max = 1000,
     .scale = OPT_LOG, .help = "what entropy is worth, at first"},
    {"temperature-learnt", OPT_BOOL, OFF_AT(entropy_learnt), .def = 1,
     .help = "so that entropy comes to its target"},
    {"entropy-target", OPT_F64, OFF_AT(entropy_target), .def = -1, .min = -100, .max = 100,
     .help = "for each number of an action"},
};
/* clang-format on */

static const char *const pendulum[] = {
    "hidden=64,64",    "critic-hidden=64,64", "batch=128", "gamma=0.98",
    "actor-rate=1e-3", "critic-rate=1e-3",    NULL};
/* The normal that actions are drawn by pushes the same way for about twenty steps: white noise does
 * not find the flag (Eberhard et al. 2023, "Pink noise is all you need"). */
static const char *const mountain_car[] = {"hidden=64,64",
                                           "critic-hidden=64,64",
                                           "batch=128",
                                           "updates=0.25",
                                           "start-steps=5000",
                                           "actor-rate=1e-3",
                                           "critic-rate=1e-3",
                                           "temperature=0.1",
                                           "noise=ornstein-uhlenbeck",
                                           "noise-theta=0.05",
                                           "normalize-observations=true",
                                           NULL};
/* Without targets a wide critic with batch norm learns as fast from one update a step. */
static const char *const crossq[] = {
    "targets=false",  "critic-norm=batch",     "norm=batch", "actor-rate=1e-3", "critic-rate=1e-3",
    "policy-delay=3", "critic-hidden=512,512", NULL};
static const learner_preset presets[] = {{"crossq", crossq},
                                         {"Pendulum-v1", pendulum},
                                         {"MountainCarContinuous-v0", mountain_car},
                                         {NULL, NULL}};

static const off_policy_kind kind = {
    .box_head = ACTOR_SQUASHED, .choice_head = ACTOR_CATEGORICAL, .entropy = true};

static garam_status create(agent **out, const void *config, const agent_setup *setup,
                           garam_error *err) {
  return off_policy_create(out, &kind, &agent_sac, config, setup, err);
}

const agent_ops agent_sac = {.name = "sac",
                             .summary = "soft actor-critic, with a temperature that is learnt",
                             .options = rows,
                             .n_options = COUNT_OF(rows),
                             .config_size = sizeof(off_policy_config),
                             .presets = presets,
                             .spaces = 1 << ENV_BOX,
                             .worlds = off_policy_worlds,
                             .create = create,
                             .destroy = off_policy_destroy,
                             .act = off_policy_act,
                             .learn = off_policy_learn,
                             .policy = off_policy_policy,
                             .save = off_policy_save,
                             .load = off_policy_load,
                             .metrics = off_policy_metrics};
