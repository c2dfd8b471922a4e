/* Policies as ONNX: "observation" (N, A, O), as the world shows it, to "action" (N, K), what each
 * agent does side by side: a box's numbers, or the number of a choice. Normalising is inside. */
#ifndef RL_EXPORT_ONNX_H
#define RL_EXPORT_ONNX_H

#include "rl/policy.h"

garam_status policy_export_onnx(const policy *p, const char *path, garam_error *err);

#endif
