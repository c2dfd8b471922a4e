/* An environment of one's own: a boat that drifts in the wind is to be held at a buoy. An agent
 * learns it in about a second. Only the public headers are used.
 *
 *   cc examples/own_environment.c $(pkg-config --cflags --libs garam) -lm -o own_environment
 *   ./own_environment boat.safetensors */
#include <garam/rl.h>

#include <math.h>
#include <stdio.h>

/* One world: plain data. */
typedef struct boat {
  double position, speed, wind;
} boat;

static void look(const boat *b, float *observation) {
  observation[0] = (float)b->position;
  observation[1] = (float)b->speed;
}

static void boat_reset(void *context, void *world, garam_random *random, float *observation) {
  boat *b = world;
  (void)context;
  b->position = 4 * garam_random_uniform(random) - 2;
  b->wind = 0.04 * garam_random_normal(random);
  look(b, observation);
}

static void boat_step(void *context, void *world, garam_random *random, const float *action,
                      float *observation, float *reward, uint8_t *terminated) {
  boat *b = world;
  (void)context;
  b->speed = 0.9 * b->speed + 0.1 * (action[0] - 1) + b->wind + 0.01 * garam_random_normal(random);
  b->position += b->speed;
  look(b, observation);
  reward[0] = (float)-fabs(b->position);
  terminated[0] = fabs(b->position) > 5;
  if (terminated[0]) reward[0] = -200;
}

static const garam_env_agent agent = {.name = "boat", .observation = 2, .choices = 3};
static const garam_env harbour = {.name = "harbour",
                                  .n_agents = 1,
                                  .agents = &agent,
                                  .max_steps = 100,
                                  .world_bytes = sizeof(boat),
                                  .reset = boat_reset,
                                  .step = boat_step};

static int complain(const garam_error *err) {
  fprintf(stderr, "%s: %s\n", garam_status_name(err->status), err->message);
  return 1;
}

int main(int argc, char **argv) {
  const char *path = argc > 1 ? argv[1] : "boat.safetensors";
  garam_error err = {GARAM_OK, ""};
  char config[512], *result;
  snprintf(config, sizeof config, "{\"agent\": \"ppo\", \"steps\": 40000, \"out\": \"%.400s\"}",
           path);
  if (garam_rl_train(config, &harbour, NULL, NULL, NULL, &err) != GARAM_OK) return complain(&err);
  if (garam_rl_evaluate(path, &harbour, "{\"seeds\": 3, \"episodes\": 50}", &result, &err) !=
      GARAM_OK)
    return complain(&err);
  printf("%s\n", result);
  garam_free(result);

  garam_policy *policy; /* what it does when it has drifted to one side, and to the other */
  const float observations[] = {2, 0, -2, 0};
  float actions[2];
  if (garam_policy_open(&policy, path, &err) != GARAM_OK) return complain(&err);
  garam_status status = garam_policy_act(policy, observations, 2, actions, &err);
  garam_policy_close(policy);
  if (status != GARAM_OK) return complain(&err);
  printf("at +2 it steers %+.0f, at -2 %+.0f\n", (double)actions[0] - 1, (double)actions[1] - 1);
  return 0;
}
