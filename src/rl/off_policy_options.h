/* Option rows that off-policy learners share, on off_policy_config. Kinds differ by defaults. */
#ifndef RL_OFF_POLICY_OPTIONS_H
#define RL_OFF_POLICY_OPTIONS_H

#include "rl/off_policy.h"

extern const char *const off_policy_done_names[], *const off_policy_when_names[],
                                                      *const off_policy_sharing_names[],
                                                          *const off_policy_relaxation_names[];

#define OFF_AT(field) OPT_AT(off_policy_config, field)

/* clang-format off */
#define OFF_POLICY_LEARNING_ROWS(RATE, GAMMA, BATCH, START)                                        \
  {"gamma", OPT_F64, OFF_AT(gamma), .def = GAMMA, .min = 0, .max = 1,                              \
   .search = {0.9, 0.999}, .help = "what a reward is worth a step later"},                         \
  {"batch", OPT_INT, OFF_AT(batch), .def = BATCH, .min = 1, .max = 65536, .scale = OPT_LOG,        \
   .search = {32, 1024}, .unit = "rows", .help = "transitions of an update"},                      \
  {"replay", OPT_I64, OFF_AT(replay), .def = 100000, .min = 1, .max = 100000000,                   \
   .unit = "rows", .help = "transitions that are kept"},                                           \
  {"parallel", OPT_INT, OFF_AT(parallel), .def = 1, .min = 1, .max = 65536, .unit = "worlds",      \
   .help = "that it acts in at a time, where nothing else says how many"},                         \
  {"start-steps", OPT_I64, OFF_AT(start_steps), .def = START, .max = 1e12, .unit = "steps",        \
   .help = "of the world, taken at random before anything is learnt"},                             \
  {"updates", OPT_F64, OFF_AT(updates), .def = 1, .min = 0, .max = 1000, .scale = OPT_LOG,         \
   .help = "for each step of the world"},                                                          \
  {"update-when", OPT_ENUM, OFF_AT(when), .choices = off_policy_when_names,                        \
   .help = "due updates at once, or one when an episode ends (the first sketch's)"},               \
  {"n-steps", OPT_INT, OFF_AT(n_steps), .def = 1, .min = 1, .max = 1000, .unit = "steps",          \
   .help = "of reward before a value is asked for"},                                               \
  {"clip", OPT_F64, OFF_AT(clip), .max = 1e9,                                                      \
   .help = "gradients are shrunk to this norm; 0: never"},                                         \
  {"prioritized", OPT_BOOL, OFF_AT(prioritized),                                                   \
   .help = "transitions are drawn by how wrong they were"},                                        \
  {"priority-alpha", OPT_F64, OFF_AT(priority_alpha), .def = 0.6, .max = 1,                        \
   .help = "priorities are |error| to this power"},                                                \
  {"priority-beta", OPT_F64, OFF_AT(priority_beta), .def = 0.4, .max = 1,                          \
   .help = "how far weights correct for it at first; at the end wholly"},                          \
  {"normalize-observations", OPT_BOOL, OFF_AT(normalize_observations),                             \
   .help = "by their running mean and deviation"},                                                 \
  {"normalize-rewards", OPT_BOOL, OFF_AT(normalize_rewards),                                       \
   .help = "by the deviation of discounted returns"},                                              \
  {"done", OPT_ENUM, OFF_AT(done), .choices = off_policy_done_names,                               \
   .help = "whose end ends an agent's returns: each its own, or any agent's end or cut (the first " \
           "sketch's)"}

#define OFF_POLICY_TARGET_ROWS(TAU, EVERY)                                                         \
  {"tau", OPT_F64, OFF_AT(tau), .def = TAU, .min = 0, .max = 1, .scale = OPT_LOG,                  \
   .search = {1e-3, 0.05}, .help = "how far targets move in an update"},                           \
  {"target-every", OPT_I64, OFF_AT(target_every), .def = EVERY, .max = 1e9, .unit = "updates",     \
   .help = "targets are copied at once this often instead; 0: they move by tau"}

#define OFF_POLICY_CRITIC_ROWS(RATE, KIND, COUNT, WIDTHS)                                          \
  NET_OPTIONS(off_policy_config, critic, "critic-", WIDTHS),                                       \
  {"actor-rate", OPT_F64, OFF_AT(actor_rate), .def = RATE, .min = 1e-8, .max = 1,                  \
   .scale = OPT_LOG, .search = {1e-5, 1e-2}, .help = "learning rate of actors"},                   \
  {"critic-rate", OPT_F64, OFF_AT(critic_rate), .def = RATE, .min = 1e-8, .max = 1,                \
   .scale = OPT_LOG, .search = {1e-5, 1e-2}, .help = "learning rate of critics"},                  \
  {"critics", OPT_ENUM, OFF_AT(critics), .def = KIND, .choices = critic_kind_names,                \
   .help = "what critics see: their own agent, or all agents and what they do"},                   \
  {"n-critics", OPT_INT, OFF_AT(n_critics), .def = COUNT, .min = 1, .max = 2,                      \
   .help = "the lower value of two is believed (TD3)"},                                            \
  {"targets", OPT_BOOL, OFF_AT(targets), .def = 1,                                                 \
   .help = "slow copies value what is next; without: CrossQ's joint batch"},                       \
  {"norm-rate", OPT_F64, OFF_AT(norm_rate), .def = 0.01, .min = 0, .max = 1,                       \
   .help = "how far batch norm's running statistics move in an update"},                           \
  {"sharing", OPT_ENUM, OFF_AT(sharing), .choices = off_policy_sharing_names,                      \
   .help = "joint transitions teach actors and critics; or critics alone learn from others' (the " \
           "first sketch's)"},                                                                     \
  {"mix-weights", OPT_ENUM, OFF_AT(mix.weights), .choices = mix_weights_names,                     \
   .help = "of --communication matrix: softmax of ranks or z-scores, or shares of the sum"},       \
  {"mix-temperature", OPT_F64, OFF_AT(mix.temperature), .def = 0.5, .min = 1e-3, .max = 1000,      \
   .help = "of that softmax"}

#define OFF_POLICY_NOISE_ROWS(KIND, SCALE)                                                         \
  {"noise", OPT_ENUM, OFF_AT(noise), .def = KIND, .choices = noise_names,                          \
   .help = "of actions while training"},                                                           \
  {"noise-scale", OPT_F64, OFF_AT(noise_scale), .def = SCALE, .max = 100,                          \
   .help = "deviation of a draw, where half a box's width is 1"},                                  \
  {"noise-theta", OPT_F64, OFF_AT(noise_theta), .def = 0.15, .min = 1e-4, .max = 1,                \
   .help = "pull of ornstein-uhlenbeck noise towards 0"},                                          \
  {"noise-final", OPT_F64, OFF_AT(noise_final), .def = 1, .max = 1,                                \
   .help = "share of the noise that is left at the end of the run"}

#define OFF_POLICY_EPSILON_ROWS(START, END, SHARE)                                                 \
  {"epsilon-start", OPT_F64, OFF_AT(epsilon_start), .def = START, .max = 1,                        \
   .help = "share of choices taken at random at first"},                                           \
  {"epsilon-end", OPT_F64, OFF_AT(epsilon_end), .def = END, .max = 1, .help = "and later"},        \
  {"epsilon-share", OPT_F64, OFF_AT(epsilon_share), .def = SHARE, .max = 1,                        \
   .help = "of the run, in which it comes down"}
/* clang-format on */

#endif
