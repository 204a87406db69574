// SPDX-License-Identifier: Apache-2.0
// Where the time of an answer went: steps added up, and what is kept of answers.
#include "client/serve/answer_trace.h"

#include <gtest/gtest.h>

namespace shoal::client {
namespace {

HopTiming hop_of(std::uint8_t id, proto::Span span, double queue, double compute, double network) {
  HopTiming hop{{}, span, queue, compute, network};
  hop.peer.bytes[0] = id;
  return hop;
}

// Two hops; the last one tells of itself, or too late.
StepTiming step_of(bool last_told, double total = 100, std::uint8_t second = 2) {
  StepTiming step{total, 0, {hop_of(1, {0, 2}, 5, 20, 10), hop_of(second, {2, 4}, 3, 30, 12)}};
  if (last_told) return step;
  step.hops.back() = hop_of(second, {2, 4}, 0, 0, 0);
  step.return_us = 45;  // all that the last hop did
  return step;
}

TEST(StepSums, TheFirstStepIsThePrompts) {
  StepSums sums;
  sums.add(step_of(true, 900), 7);
  EXPECT_EQ(sums.prompt().steps, 1);
  EXPECT_EQ(sums.prompt().sum.total_us, 900);
  EXPECT_EQ(sums.prompt().client_us, 7);
  EXPECT_EQ(sums.tokens().steps, 0);
}

TEST(StepSums, WhatTheLastHopToldTooLateIsAsInOtherSteps) {
  StepSums sums;
  sums.add(step_of(true), 0);
  for (const bool told : {true, false, false, true}) sums.add(step_of(told), 2);
  const StepTiming mean = sums.tokens().mean();
  ASSERT_EQ(sums.tokens().steps, 4);
  EXPECT_EQ(sums.tokens().last_told, 2);
  EXPECT_DOUBLE_EQ(mean.total_us, 100);
  EXPECT_DOUBLE_EQ(mean.hops[0].compute_us, 20);
  EXPECT_DOUBLE_EQ(mean.hops[1].compute_us, 30);
  EXPECT_DOUBLE_EQ(mean.hops[1].queue_us, 3);
  EXPECT_DOUBLE_EQ(mean.hops[1].network_us, 12);
  EXPECT_DOUBLE_EQ(mean.return_us, 0);
  EXPECT_DOUBLE_EQ(sums.tokens().client_us, 8);
}

TEST(StepSums, OfALastHopThatNeverTellsTheTimeIsOnTheWayBack) {
  StepSums sums;
  for (int i = 0; i < 3; ++i) sums.add(step_of(false), 0);
  EXPECT_DOUBLE_EQ(sums.tokens().mean().return_us, 45);
  EXPECT_DOUBLE_EQ(sums.tokens().mean().hops[1].compute_us, 0);
}

TEST(StepSums, AStepOfWhichAnEarlierHopToldTooLateIsLeftOut) {
  StepSums sums;
  sums.add(step_of(true), 0);
  StepTiming untold = step_of(true);
  untold.hops.front().compute_us = 0;
  sums.add(untold, 0);
  EXPECT_EQ(sums.tokens().steps, 0);
}

TEST(StepSums, AnotherRouteBeginsAnew) {
  StepSums sums;
  sums.add(step_of(true), 0);
  sums.add(step_of(true, 100, 2), 0);
  sums.add(step_of(true, 300, 9), 0);
  EXPECT_EQ(sums.tokens().steps, 1);
  EXPECT_EQ(sums.tokens().mean().total_us, 300);
  EXPECT_EQ(sums.tokens().sum.hops.back().peer.bytes[0], 9);
}

TEST(AnswerLog, KnowsTheLastOnesById) {
  AnswerLog log;
  EXPECT_EQ(log.last(), nullptr);
  const auto first = log.begin("a", 1);
  EXPECT_EQ(log.find("a"), first);
  EXPECT_EQ(log.find("b"), nullptr);
  EXPECT_EQ(log.last(), first);
  first->begin(6);
  first->step(step_of(true), 0);
  EXPECT_TRUE(first->running());
  EXPECT_EQ(log.running().size(), 1u);
  // One that only waits has nothing to show.
  const auto second = log.begin("b", 2);
  EXPECT_EQ(log.last(), first);
  EXPECT_EQ(first->route().size(), 2u);
  for (int i = 0; i < 300; ++i) log.begin(std::to_string(i), 3);
  EXPECT_EQ(log.find("a"), nullptr);
  EXPECT_NE(log.find("299"), nullptr);
}

TEST(AnswerTrace, SaysHowItEnded) {
  AnswerTrace trace("x", 5);
  EXPECT_EQ(trace.json()["state"], "waiting");
  EXPECT_TRUE(trace.json()["prompt"].is_null());
  trace.begin(6);
  trace.step(step_of(true, 900), 7);
  trace.step(step_of(true), 9);
  EXPECT_EQ(trace.json()["state"], "running");
  EXPECT_EQ(trace.json()["completion_tokens"], 2);
  EXPECT_DOUBLE_EQ(trace.json()["prompt"]["total_ms"].get<double>(), 0.9);
  EXPECT_DOUBLE_EQ(trace.json()["token"]["hops"][1]["compute_ms"].get<double>(), 0.03);
  GenerateResult result;
  result.finish_reason = "length";
  result.ids = {1, 2, 3};
  trace.end(result, 4, 1);
  trace.fail();  // of the server that ends: too late
  EXPECT_EQ(trace.json()["state"], "done");
  EXPECT_EQ(trace.json()["completion_tokens"], 3);
  EXPECT_EQ(trace.json()["reroutes"], 1);
  EXPECT_FALSE(trace.running());
  AnswerTrace lost("y", 5);
  lost.begin(6);
  lost.fail();
  EXPECT_EQ(lost.json()["state"], "failed");
}

}  // namespace
}  // namespace shoal::client
