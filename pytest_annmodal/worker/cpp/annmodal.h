// What a C++ submission implements: a class derived from annmodal::Index, and create_index().
//
//     #include "annmodal.h"
//
//     class Mine : public annmodal::Index { ... };
//     annmodal::Index* create_index() { return new Mine; }
//
// It is compiled with g++ -std=gnu++20 -O3 -march=native -fopenmp, and called from one thread.
// An exception is reported with its what(). OpenMP has as many threads as --ann-threads.

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

  // Called once; this is the timed build. `data` holds n_samples rows of `dimension` floats, one
  // after the other. It stays valid, so keep the pointer and not a copy.
  virtual void fit(const float* data, std::size_t n_samples) = 0;

  // Returns the k nearest rows, each once: numbers from 0 to n_samples - 1, in any order.
  // `query` has `dimension` floats, is aligned to 64 bytes and is valid during this call.
  virtual std::vector<int> query(const float* query, int k) = 0;

  // Optional: answers all queries, which lie one after the other in `queries`, at once. It is
  // called, and its throughput measured, only if a class overrides it.
  virtual std::vector<std::vector<int>> batch_query(const float* queries, std::size_t n_queries,
                                                    int k) {
    (void)queries, (void)n_queries, (void)k;
    return {};
  }

  // Optional: takes values of the parameters in the file's header, by name: those of `build`
  // between init and fit, those of `search` after fit, for each setting.
  virtual void set_query_arguments(const std::map<std::string, double>& arguments) {
    throw std::invalid_argument("the header names the parameter \"" + arguments.begin()->first +
                                "\"; override set_query_arguments to take it");
  }

  // Optional: size of the index in bytes, shown beside the measured one; 0 for unknown.
  virtual std::size_t get_memory_usage() const { return 0; }

  // Optional: the index's name in its log.
  virtual std::string name() const { return "annmodal::Index"; }
};

}  // namespace annmodal

// The one function that a submission must define. It makes the index and is called once.
annmodal::Index* create_index();

#endif
