/* garam version: what was built, how, and what this machine gives it. */
#include "cli/commands.h"

#include "base/thread.h"
#include "kernel/kernel.h"

#ifdef GARAM_HAVE_ONEDNN
#include <oneapi/dnnl/dnnl.h>
#endif

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#elif defined(__GNUC__)
#define COMPILER "gcc " __VERSION__
#else
#define COMPILER "unknown"
#endif

static void products_text(char out[TEXT_SHORT]) {
#ifdef GARAM_HAVE_ONEDNN
  const dnnl_version_t *v = dnnl_version();
  snprintf(out, TEXT_SHORT, "oneDNN %d.%d.%d", v->major, v->minor, v->patch);
#else
  snprintf(out, TEXT_SHORT, "portable reference");
#endif
}

static int run(cli *c) {
  int code = cli_parse(c, 0, 0);
  if (code != CLI_GO_ON) return code;
  char products[TEXT_SHORT];
  products_text(products);
  if (c->common.json)
    return cli_print_json(c, json_pack("{s:s, s:s, s:s, s:s, s:i}", "version", garam_version(),
                                       "compiler", COMPILER, "matrix_products", products, "isa",
                                       kernel_isa(), "threads", thread_count()));
  printf("garam %s\n", garam_version());
  printf("compiler         %s\n", COMPILER);
  printf("matrix products  %s\n", products);
  printf("instructions     %s\n", kernel_isa());
  printf("threads          %d\n", thread_count());
  return cli_flush_stdout(c);
}

const command cmd_version = {
    .name = "version",
    .summary = "version, compiler, matrix library, instruction set, threads",
    .usage = "[--json]",
    .run = run,
};
