/* Deep Q-learning (Mnih et al. 2015) with double targets (van Hasselt, Guez & Silver 2016) and, by
 * option, dueling values (Wang et al. 2016), n-step returns and priorities. Choices alone; of many
 * agents each learns its own values. */
#include "rl/agent_list.h"
#include "rl/off_policy_options.h"

/* clang-format off */
static const opt_row rows[] = {
    ACTOR_OPTIONS(off_policy_config, actor, "128,128"),
    {"dueling", OPT_BOOL, OFF_AT(actor.dueling), .help = "values as a value of the state and advantages"},
    {"double", OPT_BOOL, OFF_AT(double_q), .def = 1,
     .help = "what is next is chosen by the nets that learn, and valued by their targets"},
    {"learning-rate", OPT_F64, OFF_AT(critic_rate), .def = 5e-4, .min = 1e-8, .max = 1,
     .scale = OPT_LOG, .search = {1e-5, 1e-2}, .help = "of Adam"},
    {"norm-rate", OPT_F64, OFF_AT(norm_rate), .def = 0.01, .min = 0, .max = 1,
     .help = "how far batch norm's running statistics move in an update"},
    OFF_POLICY_LEARNING_ROWS(5e-4, 0.99, 64, 1000), OFF_POLICY_TARGET_ROWS(0.005, 0),
    OFF_POLICY_EPSILON_ROWS(1, 0.05, 0.2),
};
/* clang-format on */

static const learner_preset presets[] = {{NULL, NULL}};

static const off_policy_kind kind = {
    .box_head = ACTOR_TANH, .choice_head = ACTOR_VALUES, .values = true};

/* What the rows leave as it was: no row of theirs says it. */
static garam_status create(agent **out, const void *config, const agent_setup *setup,
                           garam_error *err) {
  off_policy_config c = *(const off_policy_config *)config;
  c.targets = true;
  c.n_critics = 1;
  c.policy_delay = 1;
  c.noise_final = 1;
  return off_policy_create(out, &kind, &agent_dqn, &c, setup, err);
}

const agent_ops agent_dqn = {.name = "dqn",
                             .summary = "deep Q-learning",
                             .options = rows,
                             .n_options = COUNT_OF(rows),
                             .config_size = sizeof(off_policy_config),
                             .presets = presets,
                             .spaces = 1 << ENV_DISCRETE,
                             .worlds = off_policy_worlds,
                             .create = create,
                             .destroy = off_policy_destroy,
                             .act = off_policy_act,
                             .learn = off_policy_learn,
                             .policy = off_policy_policy,
                             .save = off_policy_save,
                             .load = off_policy_load,
                             .metrics = off_policy_metrics};
