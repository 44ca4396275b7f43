#pragma once

// With -O3 -march=native the compiler makes vector instructions of the inner loop: eight sums,
// because it may not reorder the additions of one.
inline float squared_distance(const float* a, const float* b, int dimension) {
  float sums[8] = {};
  int i = 0;
  for (; i + 8 <= dimension; i += 8) {
    for (int j = 0; j < 8; ++j) {
      const float difference = a[i + j] - b[i + j];
      sums[j] += difference * difference;
    }
  }
  float total = 0;
  for (; i < dimension; ++i) total += (a[i] - b[i]) * (a[i] - b[i]);
  for (float sum : sums) total += sum;
  return total;
}
