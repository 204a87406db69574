// SPDX-License-Identifier: Apache-2.0
// What one rendering may cost, and the errors of templates. A Budget belongs to one rendering and
// one thread; it outlives every value that is charged to it. TemplateError is thrown inside of
// model/chat/ alone: template.h turns it into a Status.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <utility>

namespace shoal::model::chat {

// From 1; 0: not known yet. A column counts characters.
struct Place {
  int line = 0;
  int column = 0;
};

class TemplateError : public std::exception {
 public:
  enum class Kind {
    kSyntax,     // the template is none
    kRendering,  // an operation on values that it does not take
    kRaised,     // raise_exception: the template's own words
    kExhausted,  // a limit of the rendering
  };
  TemplateError(Kind kind, std::string message, Place place = {})
      : kind(kind), message(std::move(message)), place(place) {}
  const char* what() const noexcept override { return message.c_str(); }

  Kind kind;
  std::string message;
  Place place;
};

[[noreturn]] inline void fail(std::string message) {
  throw TemplateError(TemplateError::Kind::kRendering, std::move(message));
}

// A real template renders 1,000 messages in some 200,000 steps and a few times their bytes.
struct RenderLimits {
  std::int64_t steps = 20'000'000;  // an expression, or some 64 bytes of text: a second or two
  std::size_t memory_bytes = 256u << 20;  // of all values alive at one time
  std::size_t output_bytes = 32u << 20;
  int depth = 400;  // of statements, expressions and macros within each other
};

class Budget {
 public:
  explicit Budget(const RenderLimits& limits) : limits_(limits), steps_left_(limits.steps) {}
  Budget(const Budget&) = delete;
  Budget& operator=(const Budget&) = delete;

  const RenderLimits& limits() const { return limits_; }
  void spend(std::size_t steps) {
    if (steps > static_cast<std::size_t>(steps_left_)) {
      steps_left_ = 0;
      throw TemplateError(
          TemplateError::Kind::kExhausted,
          "the template takes more than " + std::to_string(limits_.steps) +
              " steps; shorten the conversation, or see whether the template loops without need");
    }
    steps_left_ -= static_cast<std::int64_t>(steps);
  }
  void spend_bytes(std::size_t bytes) { spend(1 + bytes / 64); }
  void take(std::size_t bytes) {
    if (bytes > limits_.memory_bytes - used_) {
      throw TemplateError(TemplateError::Kind::kExhausted,
                          "the template takes more than " + std::to_string(limits_.memory_bytes) +
                              " bytes of memory; shorten the conversation");
    }
    used_ += bytes;
  }
  void give_back(std::size_t bytes) { used_ -= bytes; }
  std::size_t used() const { return used_; }
  std::int64_t steps_left() const { return steps_left_; }

 private:
  RenderLimits limits_;
  std::int64_t steps_left_;
  std::size_t used_ = 0;
};

// Bytes charged for as long as this lives; without a budget (a template's constants) nothing is.
class Charge {
 public:
  Charge(Budget* budget, std::size_t bytes) : budget_(budget) { add(bytes); }
  Charge(const Charge&) = delete;
  Charge& operator=(const Charge&) = delete;
  ~Charge() { reset(); }
  void add(std::size_t bytes) {
    if (budget_ != nullptr) budget_->take(bytes);
    bytes_ += bytes;
  }
  void reset() {
    if (budget_ != nullptr) budget_->give_back(bytes_);
    bytes_ = 0;
  }
  Budget* budget() const { return budget_; }

 private:
  Budget* budget_;
  std::size_t bytes_ = 0;
};

}  // namespace shoal::model::chat
