/* PPO and MAPPO: one learner (onpolicy.h), two sets of defaults. */
#include "rl/agent_list.h"
#include "rl/onpolicy.h"

static const char *const critic_names[] = {"own", "central", NULL};

#define AT(field) OPT_AT(onpolicy_config, field)
#define OPTIONS(shared_, critic_, value_scale_)                                                    \
  {"hidden", OPT_STRING, AT(actor.net.hidden), .def_text = "64,64",                                \
   .help = "widths of the hidden layers"},                                                         \
      {"critic-hidden", OPT_STRING, AT(critic_hidden), .def_text = "",                             \
       .help = "of the value's net; empty: as --hidden"},                                          \
      {"activation",                                                                               \
       OPT_ENUM,                                                                                   \
       AT(actor.net.activation),                                                                   \
       .def = NN_TANH,                                                                             \
       .choices = nn_activation_names,                                                             \
       .help = "between the layers"},                                                              \
      {"norm", OPT_ENUM, AT(actor.net.norm), .choices = net_norm_names,                            \
       .help = "of each hidden layer, before its activation: none or layer"},                      \
      {"dropout", OPT_F64, AT(actor.net.dropout), .max = 0.95,                                     \
       .help = "refused unless 0: the policy that acts would not be the one that learns"},         \
      {"shared", OPT_BOOL, AT(actor.shared), .def = shared_,                                       \
       .help = "one net for all agents of a team"},                                                \
      {"critic",                                                                                   \
       OPT_ENUM,                                                                                   \
       AT(critic),                                                                                 \
       .def = critic_,                                                                             \
       .choices = critic_names,                                                                    \
       .help = "what a value sees: the agent's own observation, or the state with all of them"},   \
      {"communication", OPT_ENUM, AT(actor.communication), .choices = actor_communication_names,   \
       .help = "what agents of a team tell each other before they act"},                           \
      {"rounds", OPT_INT,  AT(actor.rounds),          .def = 1,                                    \
       .min = 1, .max = 8, .help = "of communication"},                                            \
      {"message",         OPT_INT,                                                                 \
       AT(actor.message), .max = 4096,                                                             \
       .unit = "numbers", .help = "width of a message; 0: as wide as the last hidden layer"},      \
      {"parallel",       OPT_INT,                                                                  \
       AT(worlds),       .def = 8,                                                                 \
       .min = 1,         .max = 65536,                                                             \
       .unit = "worlds", .help = "that it trains in at a time, where nothing else is said"},       \
      {"rollout",       OPT_INT,                                                                   \
       AT(rollout),     .def = 128,                                                                \
       .min = 1,        .max = 1000000,                                                            \
       .unit = "steps", .help = "of each world from one update to the next"},                      \
      {"epochs", OPT_INT,     AT(epochs),        .def = 10,                                        \
       .min = 1, .max = 1000, .search = {1, 20}, .help = "passes over a rollout"},                 \
      {"minibatches", OPT_INT,      AT(minibatches),    .def = 4,                                  \
       .min = 1,      .max = 65536, .help = "of a pass"},                                          \
      {"learning-rate",                                                                            \
       OPT_F64,                                                                                    \
       AT(learning_rate),                                                                          \
       .def = 3e-4,                                                                                \
       .min = 1e-8,                                                                                \
       .max = 1,                                                                                   \
       .scale = OPT_LOG,                                                                           \
       .search = {1e-5, 1e-2},                                                                     \
       .help = "Adam step size at its highest"},                                                   \
      {"anneal", OPT_BOOL, AT(anneal), .def = 1,                                                   \
       .help = "the learning rate falls linearly to 0 over the run"},                              \
      {"gamma", OPT_F64, AT(gamma), .def = 0.99, .max = 1, .help = "discount of a step"},          \
      {"lambda",   OPT_F64,                                                                        \
       AT(lambda), .def = 0.95,                                                                    \
       .max = 1,   .help = "of generalised advantages: 0 trusts the values, 1 the returns"},       \
      {"clip",                                                                                     \
       OPT_F64,                                                                                    \
       AT(clip),                                                                                   \
       .def = 0.2,                                                                                 \
       .min = 1e-4,                                                                                \
       .max = 10,                                                                                  \
       .help = "how far a probability may move before its gain stops counting"},                   \
      {"anneal-clip", OPT_BOOL, AT(anneal_clip), .help = "it falls linearly to 0 over the run"},   \
      {"value-clip", OPT_F64, AT(value_clip), .max = 1e6,                                          \
       .help = "how far a value may move, in units of its targets' deviation; 0: no limit"},       \
      {"value-weight", OPT_F64,    AT(value_weight),                                               \
       .def = 0.5,     .max = 1e3, .help = "of the value's loss beside the policy's"},             \
      {"entropy", OPT_F64, AT(entropy), .max = 10,                                                 \
       .help = "bonus for a policy that tries things"},                                            \
      {"gradient-clip", OPT_F64,    AT(gradient_clip),                                             \
       .def = 0.5,      .max = 1e9, .help = "gradients are shrunk to this global norm; 0: never"}, \
      {"target-kl", OPT_F64, AT(target_kl), .max = 10,                                             \
       .help = "passes stop where a policy has moved half as far again; 0: never"},                \
      {"deviation",                                                                                \
       OPT_F64,                                                                                    \
       AT(deviation),                                                                              \
       .def = 0.6,                                                                                 \
       .min = 1e-3,                                                                                \
       .max = 10,                                                                                  \
       .help = "of a box's first draws, as a share of half its width"},                            \
      {"normalize-observation", OPT_BOOL, AT(normalize_observation),                               \
       .help = "by running means and deviations"},                                                 \
      {"normalize-reward", OPT_BOOL, AT(normalize_reward),                                         \
       .help = "by the deviation of discounted returns"},                                          \
      {"normalize-value", OPT_BOOL, AT(normalize_value), .def = value_scale_,                      \
       .help = "targets of values by their running mean and deviation"},                           \
      {"normalize-advantage", OPT_BOOL, AT(normalize_advantage), .def = 1,                         \
       .help = "to mean 0 and deviation 1, by team"},                                              \
      {"seac", OPT_F64, AT(seac), .max = 10,                                                       \
       .help = "weight of what team mates lived through, for agents that share no net; 0: off"},   \
      {"opponents", OPT_INT, AT(opponents), .max = 64,                                             \
       .help = "past selves that teams are trained against; 0: only present ones"},                \
      {"opponent-share", OPT_F64,  AT(opponent_share),                                             \
       .def = 0.5,       .max = 1, .help = "of episodes in which one team is a past one"},         \
  {                                                                                                \
    "opponent-every", OPT_INT, AT(opponent_every), .def = 10, .min = 1, .max = 1000000,            \
                                                   .unit = "updates",                              \
                                                   .help = "from one past self to the next"        \
  }

static const opt_row ppo_options[] = {OPTIONS(0, ONPOLICY_CRITIC_OWN, 0)};
static const opt_row mappo_options[] = {OPTIONS(1, ONPOLICY_CRITIC_CENTRAL, 1)};

static const learner_preset ppo_presets[] = {
    {"CartPole-v1", (const char *const[]){"parallel=8", "rollout=32", "epochs=20", "minibatches=1",
                                          "learning-rate=1e-3", "gamma=0.98", "lambda=0.8",
                                          "anneal-clip=true", NULL}},
    {"Pendulum-v1",
     (const char *const[]){"parallel=8", "rollout=256", "minibatches=32", "learning-rate=1e-3",
                           "gamma=0.9", "normalize-observation=true", "normalize-reward=true",
                           NULL}},
    {"execution",
     (const char *const[]){"parallel=16", "rollout=30", "gamma=1", "learning-rate=1e-3", NULL}},
    {"market_making", (const char *const[]){"parallel=32", "rollout=256", "minibatches=8",
                                            "epochs=5", "gamma=0.995", "learning-rate=1e-3", NULL}},
    {"bars", (const char *const[]){"parallel=16", "rollout=125", "epochs=4", "gamma=0.9",
                                   "lambda=0.9", NULL}},
    {"portfolio", /* log utility is myopic: what a period earns is all that its weights decide */
     (const char *const[]){"parallel=16", "rollout=120", "gamma=0", "lambda=0", NULL}},
    {NULL, NULL},
};

static const learner_preset mappo_presets[] = {
    {"simple_spread",
     (const char *const[]){"parallel=64", "rollout=25", "minibatches=2", "learning-rate=1e-3",
                           "gamma=0.95", "entropy=0.01", NULL}},
    {"simple_tag", (const char *const[]){"parallel=32", "rollout=25", "epochs=5", "minibatches=1",
                                         "learning-rate=2e-3", "gamma=0.95", "entropy=0.01", NULL}},
    {"predator_prey",
     (const char *const[]){"parallel=64", "rollout=20", "epochs=5", "minibatches=2",
                           "learning-rate=1e-3", "entropy=0.01", NULL}},
    {NULL, NULL},
};

static size_t worlds(const void *config) {
  return (size_t)((const onpolicy_config *)config)->worlds;
}

static garam_status ppo_create(agent **out, const void *config, const agent_setup *setup,
                               garam_error *err) {
  return onpolicy_create(out, &agent_ppo, config, setup, err);
}

static garam_status mappo_create(agent **out, const void *config, const agent_setup *setup,
                                 garam_error *err) {
  return onpolicy_create(out, &agent_mappo, config, setup, err);
}

#define RECORD                                                                                     \
  .config_size = sizeof(onpolicy_config), .spaces = 1 << ENV_BOX | 1 << ENV_DISCRETE,              \
  .worlds = worlds, .destroy = onpolicy_destroy, .act = onpolicy_act, .learn = onpolicy_learn,     \
  .policy = onpolicy_policy, .save = onpolicy_save, .load = onpolicy_load,                         \
  .metrics = onpolicy_metrics

const agent_ops agent_ppo = {
    .name = "ppo",
    .summary = "proximal policy optimisation; many agents: each with nets of its own",
    .options = ppo_options,
    .n_options = COUNT_OF(ppo_options),
    .presets = ppo_presets,
    .create = ppo_create,
    RECORD,
};

const agent_ops agent_mappo = {
    .name = "mappo",
    .summary = "proximal policy optimisation with values that see everything, nets shared by teams",
    .options = mappo_options,
    .n_options = COUNT_OF(mappo_options),
    .presets = mappo_presets,
    .create = mappo_create,
    RECORD,
};
