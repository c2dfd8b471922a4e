/* The shapes of coded weights, and their decoding. */
#include "learn/coded.h"

#include "base/mem.h"

#include <string.h>

const char *const coding_names[] = {"bf16", "int8", "int4", NULL};

bool coded_matrix_init(coded_matrix *m, coding to, int rank, const int64_t *dims, size_t group) {
  *m = (coded_matrix){.to = to, .rank = rank, .inputs = 1};
  if (rank < 2 || rank > PACKAGE_MAX_RANK) return false;
  size_t bytes;
  for (int i = 0; i < rank; i++) {
    if (dims[i] < 1) return false;
    m->dims[i] = dims[i];
    if (i < rank - 1 && !size_mul(&m->inputs, m->inputs, (size_t)dims[i])) return false;
  }
  m->outputs = (size_t)dims[rank - 1];
  m->group = to == CODING_INT4 ? group : m->inputs;
  return m->group > 0 && size_mul(&bytes, m->inputs, m->outputs) &&
         size_mul(&bytes, bytes, sizeof(float));
}

package_dtype coded_type(const coded_matrix *m) {
  static const package_dtype types[] = {
      [CODING_BF16] = PACKAGE_BF16, [CODING_INT8] = PACKAGE_I8, [CODING_INT4] = PACKAGE_U8};
  return types[m->to];
}

void coded_dims(int *rank, int64_t dims[PACKAGE_MAX_RANK], const coded_matrix *m) {
  *rank = m->to == CODING_INT4 ? 2 : m->rank;
  memcpy(dims, m->dims, sizeof m->dims);
  if (m->to != CODING_INT4) return;
  dims[0] = (int64_t)(m->inputs / 2 + m->inputs % 2);
  dims[1] = (int64_t)m->outputs;
}

size_t coded_bytes(const coded_matrix *m) {
  int rank;
  int64_t dims[PACKAGE_MAX_RANK];
  size_t bytes = package_dtype_size(coded_type(m));
  coded_dims(&rank, dims, m);
  for (int i = 0; i < rank; i++) bytes *= (size_t)dims[i]; /* less than the floats: checked */
  return bytes;
}

void coded_scale_dims(int *rank, int64_t dims[2], const coded_matrix *m) {
  *rank = m->to == CODING_BF16 ? 0 : m->to == CODING_INT8 ? 1 : 2;
  dims[0] = m->to == CODING_INT8 ? (int64_t)m->outputs
                                 : (int64_t)(m->inputs / m->group + (m->inputs % m->group != 0));
  dims[1] = (int64_t)m->outputs;
}

size_t coded_n_scales(const coded_matrix *m) {
  int rank;
  int64_t dims[2];
  coded_scale_dims(&rank, dims, m);
  return rank == 0 ? 0 : rank == 1 ? (size_t)dims[0] : (size_t)dims[0] * (size_t)dims[1];
}

static void decode_bf16(float *out, const uint16_t *codes, size_t n) {
  for (size_t i = 0; i < n; i++) {
    const uint32_t bits = (uint32_t)codes[i] << 16;
    memcpy(out + i, &bits, sizeof bits);
  }
}

void coded_decode(float *out, const coded_matrix *m, const void *codes, const float *scale) {
  const size_t n = m->outputs;
  if (m->to == CODING_BF16) {
    decode_bf16(out, codes, m->inputs * n);
    return;
  }
  for (size_t i = 0; i < m->inputs; i++, out += n) {
    const float *s = scale + i / m->group * n;
    if (m->to == CODING_INT8) {
      const int8_t *q = (const int8_t *)codes + i * n;
      for (size_t j = 0; j < n; j++) out[j] = (float)q[j] * s[j];
    } else {
      const uint8_t *q = (const uint8_t *)codes + i / 2 * n;
      const int shift = i % 2 ? 4 : 0;
      for (size_t j = 0; j < n; j++) out[j] = (float)((q[j] >> shift & 15) - 8) * s[j];
    }
  }
}
