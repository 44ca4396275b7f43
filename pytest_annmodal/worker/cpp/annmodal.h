// What a C++ submission implements: a class derived from annmodal::Index, and create_index().
//
//     #include "annmodal.h"
//
//     class Mine : public annmodal::Index { ... };
//     annmodal::Index* create_index() { return new Mine; }
//
// It is compiled with g++ -std=gnu++20 -O3 -march=native -fopenmp, and called from one thread.
// What it throws is reported with its what(); OpenMP has as many threads as --ann-threads says.

#ifndef ANNMODAL_H
#define ANNMODAL_H

#include <cstddef>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace annmodal {

class Index {
 public:
  virtual ~Index() = default;

  // Called first. The metric is "euclidean", "angular" (cosine), "dot" (larger is nearer) or "manhattan".
  virtual void init(const std::string& metric, int dimension) = 0;

  // Called once; this is the build that is timed. `data` holds n_samples rows of `dimension`
  // floats, one after the other, and stays where it is: keep the pointer rather than a copy.
  virtual void fit(const float* data, std::size_t n_samples) = 0;

  // The k nearest rows, each once: numbers from 0 to n_samples - 1. The order does not matter.
  // `query` has `dimension` floats, begins at a multiple of 64 bytes and is valid in this call.
  virtual std::vector<int> query(const float* query, int k) = 0;

  // Optional: answers to all queries, one after the other in `queries`, together. It is
  // called, and its throughput measured, only where a class overrides it.
  virtual std::vector<std::vector<int>> batch_query(const float* queries, std::size_t n_queries,
                                                    int k) {
    (void)queries, (void)n_queries, (void)k;
    return {};
  }

  // Optional: values from the grids in the file's header, by name: those of `build` after init
  // and before fit, those of `search` after fit and again for each setting.
  virtual void set_query_arguments(const std::map<std::string, double>& arguments) {
    throw std::invalid_argument("the header names the parameter \"" + arguments.begin()->first +
                                "\"; override set_query_arguments to take it");
  }

  // Optional: bytes that the index has, shown beside what is measured; 0 says nothing.
  virtual std::size_t get_memory_usage() const { return 0; }

  // Optional: what the index calls itself in its log.
  virtual std::string name() const { return "annmodal::Index"; }
};

}  // namespace annmodal

// The one function that a submission defines: makes its index. It is called once.
annmodal::Index* create_index();

#endif
