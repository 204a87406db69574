// SPDX-License-Identifier: Apache-2.0
// A node's numbers in the form that Prometheus reads. Pure.
#pragma once

#include <prometheus/metric_family.h>

#include <vector>

#include "node/metrics/node_stats.h"

namespace shoal::node {

std::vector<prometheus::MetricFamily> metric_families(const MetricsSnapshot& snapshot);

}  // namespace shoal::node
