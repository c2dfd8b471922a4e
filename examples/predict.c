/* Opens a package, says what it is, and prints its last prediction for a file of bars. Only the
 * public headers are used.
 *
 *   cc examples/predict.c $(pkg-config --cflags --libs garam) -o predict
 *   ./predict model.safetensors prices.csv */
#include <garam/model.h>

#include <stdio.h>
#include <time.h>

static int complain(const garam_error *err) {
  fprintf(stderr, "%s: %s\n", garam_status_name(err->status), err->message);
  return 1;
}

static void print_last(const garam_model *model, const garam_predictions *p) {
  size_t last = p->n_rows - 1;
  if (p->time) {
    time_t seconds = (time_t)(p->time[last] / 1000000000);
    struct tm utc;
    char text[32];
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", gmtime_r(&seconds, &utc));
    printf("%s\n", text);
  }
  for (size_t k = 0; k < p->n_outputs; k++)
    printf("  %-8s %.4f%s\n", garam_model_output_name(model, k),
           (double)p->output[last * p->n_outputs + k],
           p->label && (size_t)p->label[last] == k ? "  <" : "");
  if (p->abstain && p->abstain[last]) printf("  not sure enough to act on\n");
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: %s MODEL DATA\n", argv[0]);
    return 2;
  }
  garam_error err = {GARAM_OK, ""};
  garam_model *model;
  if (garam_model_open(&model, argv[1], &err) != GARAM_OK) return complain(&err);
  printf("%s: windows of %zu rows by %zu features\n", garam_model_task(model),
         garam_model_window(model), garam_model_n_features(model));

  garam_predictions *p;
  garam_status status = garam_model_predict_data(&p, model, argv[2], &err);
  if (status == GARAM_OK) {
    printf("%zu predictions, the last one:\n", p->n_rows);
    print_last(model, p);
    garam_predictions_free(p);
  }
  garam_model_close(model);
  return status == GARAM_OK ? 0 : complain(&err);
}
