/* Which kind of session a package asks for. */
#include "infer/session.h"

#include "rl/policy.h"

garam_status session_load(session **out, const char *path, const session_config *config,
                          garam_error *err) {
  package_reader *r;
  *out = NULL;
  TRY(package_open(&r, path, err));
  const bool acts = policy_is(r);
  package_close(r);
  return acts ? session_load_policy(out, path, config, err)
              : session_load_pipeline(out, path, config, err);
}
