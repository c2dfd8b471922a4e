/* Every agent, by name. */
#include "rl/agent_list.h"

#include <stdio.h>
#include <string.h>

const agent_ops *const agent_registry[] = {
#define X(name) &agent_##name,
    AGENT_LIST(X)
#undef X
        NULL,
};

const agent_ops *agent_find(const char *name, garam_error *err) {
  const char *names[64] = {0};
  size_t n = 0;
  for (; agent_registry[n] && n < COUNT_OF(names); n++) {
    if (strcmp(agent_registry[n]->name, name) == 0) return agent_registry[n];
    names[n] = agent_registry[n]->name;
  }
  const char *near = name_nearest(name, names, n);
  fail(err, GARAM_NOT_FOUND, "unknown agent \"%s\"%s%s%s", name, near ? "; did you mean \"" : "",
       near ? near : "", near ? "\"?" : "");
  return NULL;
}

garam_status agent_fits(const agent_ops *ops, const env_shape *shape, garam_error *err) {
  for (int a = 0; a < shape->n_agents; a++) {
    const env_space_kind kind = shape->agents[a].action.kind;
    if (ops->spaces >> kind & 1) continue;
    char who[256] = "";
    for (const agent_ops *const *k = agent_registry; *k; k++)
      if ((*k)->spaces >> kind & 1) {
        const size_t used = strlen(who);
        snprintf(who + used, sizeof who - used, "%s%s", used ? ", " : "", (*k)->name);
      }
    return fail(err, GARAM_MISMATCH, "agent %s cannot act by %s, as %s does; these can: %s",
                ops->name, kind == ENV_BOX ? "a box of numbers" : "choices", shape->agents[a].name,
                who);
  }
  return GARAM_OK;
}
