// /// script
// [tool.annmodal]
// metrics = ["euclidean"]
// build.n_buckets = [32, 64]
// search.n_probes = [1, 4, 16]
// ///
//
// Rows in buckets around sampled centres; a query looks into the nearest few buckets.

#include <algorithm>
#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "annmodal.h"
#include "distance.h"

class Buckets : public annmodal::Index {
 public:
  void init(const std::string&, int dimension) override { dimension_ = dimension; }

  void set_query_arguments(const std::map<std::string, double>& arguments) override {
    for (const auto& [name, value] : arguments) {
      (name == "n_buckets" ? n_buckets_ : n_probes_) = static_cast<std::size_t>(value);
    }
  }

  void fit(const float* data, std::size_t n_samples) override {
    data_ = data, n_samples_ = n_samples;
    buckets_.assign(std::min(n_buckets_, n_samples), {});
    std::vector<std::size_t> nearest(n_samples);
#pragma omp parallel for
    for (std::size_t i = 0; i < n_samples; ++i) nearest[i] = order(row(i), 1)[0].second;
    for (std::size_t i = 0; i < n_samples; ++i) buckets_[nearest[i]].push_back(static_cast<int>(i));
  }

  std::vector<int> query(const float* query, int k) override {
    const auto wanted = static_cast<std::size_t>(k);
    std::vector<std::pair<float, int>> found;
    // As many buckets as asked for, and more while there are too few rows in them.
    std::size_t looked_at = 0;
    for (const auto& [_, bucket] : order(query, buckets_.size())) {
      if (looked_at++ >= n_probes_ && found.size() >= wanted) break;
      for (int id : buckets_[bucket]) {
        found.emplace_back(squared_distance(query, row(static_cast<std::size_t>(id)), dimension_), id);
      }
    }
    std::partial_sort(found.begin(), found.begin() + k, found.end());
    std::vector<int> ids;
    for (std::size_t i = 0; i < wanted; ++i) ids.push_back(found[i].second);
    return ids;
  }

  std::vector<std::vector<int>> batch_query(const float* queries, std::size_t n_queries,
                                            int k) override {
    std::vector<std::vector<int>> answers(n_queries);
#pragma omp parallel for
    for (std::size_t i = 0; i < n_queries; ++i) answers[i] = query(queries + i * width(), k);
    return answers;
  }

  std::size_t get_memory_usage() const override { return n_samples_ * sizeof(int); }

  std::string name() const override { return "buckets"; }

 private:
  std::size_t width() const { return static_cast<std::size_t>(dimension_); }
  const float* row(std::size_t i) const { return data_ + i * width(); }

  // The nearest buckets; the centres are rows at equal steps.
  std::vector<std::pair<float, std::size_t>> order(const float* vector, std::size_t most) const {
    const std::size_t n = buckets_.size(), step = n_samples_ / n;
    std::vector<std::pair<float, std::size_t>> all(n);
    for (std::size_t i = 0; i < n; ++i) {
      all[i] = {squared_distance(vector, row(i * step), dimension_), i};
    }
    std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(most), all.end());
    all.resize(most);
    return all;
  }

  int dimension_ = 0;
  const float* data_ = nullptr;
  std::size_t n_samples_ = 0, n_buckets_ = 32, n_probes_ = 4;
  std::vector<std::vector<int>> buckets_;
};

annmodal::Index* create_index() { return new Buckets; }
