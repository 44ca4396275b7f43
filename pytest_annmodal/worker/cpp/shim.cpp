// C functions between the worker and a submission's class; they catch all exceptions.
//
// Compiled together with the submission. There is one index and one thread, so the state is
// global. A function that fails returns FAILED, and annmodal_error_type() and _text() return the
// error. <algorithm> and <memory> are not included, since reading them took a third of the time.

#include <cxxabi.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <string>
#include <typeinfo>
#include <vector>

#include "annmodal.h"

#pragma GCC diagnostic ignored "-Wpmf-conversions"

namespace {

constexpr std::int64_t FAILED = -1;

struct Owner {
  annmodal::Index* index = nullptr;
  ~Owner() { delete index; }
};

Owner owner;
std::string error_type, error_text;

// Where a query and its ids are: memory of the worker, the same for every query.
const float* query_ = nullptr;
std::int64_t* ids_ = nullptr;
std::size_t capacity_ = 0;
int k_ = 0;

std::string readable(const std::type_info& type) {
  int status = 0;
  char* text = abi::__cxa_demangle(type.name(), nullptr, nullptr, &status);
  std::string found = status == 0 && text != nullptr ? text : type.name();
  std::free(text);
  return found;
}

// Writes at most `width` ids; returns how many there are.
std::int64_t copy_ids(const std::vector<int>& found, std::size_t width, std::int64_t* ids) {
  for (std::size_t i = 0; i < found.size() && i < width; ++i) ids[i] = found[i];
  return static_cast<std::int64_t>(found.size());
}

template <class Body>
std::int64_t guarded(Body body) {
  try {
    return body();
  } catch (const std::exception& error) {
    const char* what = error.what();
    error_type = readable(typeid(error));
    error_text = what != nullptr ? what : "";
  } catch (...) {
    const std::type_info* type = abi::__cxa_current_exception_type();
    error_type = type != nullptr ? readable(*type) : "an exception";
    error_text = "thrown, which is not a std::exception";
  }
  return FAILED;
}

}  // namespace

extern "C" {

const char* annmodal_error_type() { return error_type.c_str(); }
const char* annmodal_error_text() { return error_text.c_str(); }

std::int64_t annmodal_open(const char* metric, int dimension) {
  // Line buffering, so that printed lines are not lost when the process crashes or is ended.
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
  return guarded([&] {
    owner.index = create_index();
    if (owner.index == nullptr) throw std::logic_error("create_index() returned a null pointer");
    owner.index->init(metric, dimension);
    return 0;
  });
}

// Whether the class overrides batch_query. (The pointer to the function that a call would reach
// is an extension of g++.)
int annmodal_has_batch() {
  using Function = void (*)();
  return (Function)(owner.index->*(&annmodal::Index::batch_query)) !=
         (Function)(&annmodal::Index::batch_query);
}

std::int64_t annmodal_set(int n, const char* const* names, const double* values) {
  return guarded([&] {
    std::map<std::string, double> arguments;
    for (int i = 0; i < n; ++i) arguments[names[i]] = values[i];
    owner.index->set_query_arguments(arguments);
    return 0;
  });
}

std::int64_t annmodal_fit(const float* data, std::int64_t n_samples) {
  return guarded([&] {
    owner.index->fit(data, static_cast<std::size_t>(n_samples));
    return 0;
  });
}

std::int64_t annmodal_memory() {
  return guarded([&] { return static_cast<std::int64_t>(owner.index->get_memory_usage()); });
}

// The name is returned by annmodal_error_text().
std::int64_t annmodal_name() {
  return guarded([&] {
    error_text = owner.index->name();
    return 0;
  });
}

void annmodal_bind(const float* query, std::int64_t* ids, std::int64_t capacity, int k) {
  query_ = query, ids_ = ids, capacity_ = static_cast<std::size_t>(capacity), k_ = k;
}

// Answers the bound query: writes at most `capacity` ids; returns how many there are.
std::int64_t annmodal_query() {
  return guarded([] {
    const std::vector<int> found = owner.index->query(query_, k_);
    return copy_ids(found, capacity_, ids_);
  });
}

// Writes the length and at most k ids of each answer; returns how many answers there are.
std::int64_t annmodal_batch(const float* queries, std::int64_t n_queries, int k,
                            std::int64_t* ids, std::int64_t* counts) {
  return guarded([&] {
    const auto n = static_cast<std::size_t>(n_queries), width = static_cast<std::size_t>(k);
    const std::vector<std::vector<int>> found = owner.index->batch_query(queries, n, k);
    for (std::size_t row = 0; row < found.size() && row < n; ++row)
      counts[row] = copy_ids(found[row], width, ids + row * width);
    return static_cast<std::int64_t>(found.size());
  });
}
}
