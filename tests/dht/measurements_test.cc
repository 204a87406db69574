// SPDX-License-Identifier: Apache-2.0
#include "dht/measurements.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace shoal::dht {
namespace {

using testing::ElementsAre;

constexpr std::array kBounds = {1.0, 2.0, 4.0};

TEST(HistogramTest, CountsByUpperBound) {
  Histogram histogram(kBounds);
  EXPECT_EQ(histogram.mean(), 0);
  for (const double value : {0.0, 1.0, 1.5, 2.0, 3.0, 4.0, 4.5}) histogram.add(value);
  EXPECT_THAT(histogram.counts(), ElementsAre(2, 2, 2, 1));
  EXPECT_EQ(histogram.count(), 7u);
  EXPECT_EQ(histogram.sum(), 16);
}

TEST(HistogramTest, QuantilesLieInTheRightBucket) {
  Histogram histogram(kBounds);
  EXPECT_EQ(histogram.quantile(0.5), 0);
  for (int i = 0; i < 50; ++i) histogram.add(0.5);
  for (int i = 0; i < 40; ++i) histogram.add(3);
  EXPECT_LE(histogram.quantile(0.5), 1);
  EXPECT_GT(histogram.quantile(0.9), 2);
  EXPECT_LE(histogram.quantile(0.9), 4);
  for (int i = 0; i < 10; ++i) histogram.add(100);
  EXPECT_EQ(histogram.quantile(0.99), 4);  // more is not known
}

TEST(MeasurementsTest, BeginEmptyAndCopyIndependently) {
  Measurements measurements;
  Measurements copy = measurements;
  copy.find_ms.add(7);
  EXPECT_EQ(measurements.find_ms.count(), 0u);
  EXPECT_EQ(copy.find_ms.count(), 1u);
  for (const Histogram* histogram :
       {&copy.first_record_ms, &copy.publish_ms, &copy.find_requests, &copy.hops,
        &copy.replicas_found, &copy.replicas_made, &copy.record_age_s}) {
    EXPECT_GT(histogram->bounds().size(), 3u);
  }
}

}  // namespace
}  // namespace shoal::dht
