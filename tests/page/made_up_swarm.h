// SPDX-License-Identifier: Apache-2.0
// What GET /swarm could say of a large swarm: the test's own data, as JavaScript that makes it and
// lets the page have it instead of what its server says.
#pragma once

namespace shoal::tests {

// 80 blocks, 200 nodes of all states, two of the blocks served by one node, one by none.
inline constexpr const char* kMadeUpSwarm = R"js((() => {
  const blocks = 80, nodes = [];
  let seed = 7;
  const random = (most) => (seed = (seed * 1103515245 + 12345) % 2147483648) % most;
  for (let i = 0; i < 200; ++i) {
    const size = 3 + random(12);
    let begin = random(blocks - size + 1);
    let end = begin + size;
    const state = i % 41 === 5 ? "joining" : i % 37 === 9 ? "draining" : i % 29 === 3 ? "silent" : "online";
    if (begin < 57 && end > 54) { begin = 57; end = 57 + size; }
    nodes.push({peer: i.toString(16).padStart(64, "0"), name: i.toString(16).padStart(8, "0"),
                public_name: `volunteer-${i}`, begin, end, state,
                silence: state === "silent" ? "does not answer" : "",
                kind: i % 3 ? "i8/q4" : "f32/bf16", block_step_us: 250 + random(900), free_kv: 1000 * random(66),
                total_kv: 65536, sessions: random(9), max_sessions: 64, queue: random(3),
                delay_ms: 4 + random(120), record_age_s: random(50)});
  }
  nodes.push({...nodes[0], peer: "f".repeat(64), public_name: "lonely", begin: 54, end: 56, state: "online", silence: ""});
  nodes.sort((a, b) => a.begin - b.begin || a.end - b.end);
  const servers = Array(blocks).fill(0), tokens_s = Array(blocks).fill(0);
  for (const node of nodes) {
    if (node.state !== "online") continue;
    for (let block = node.begin; block < node.end; ++block) {
      ++servers[block];
      tokens_s[block] += 1e6 / node.block_step_us / (node.end - node.begin);
    }
  }
  const spans = (count) => servers.flatMap((one, block) => one === count ? [[block, block + 1]] : []);
  const before = {servers: 0, tokens_s: 0}, after = {servers: 1, tokens_s: 320};
  return {object: "swarm", model: "made-up-70b", local: false, context: 8192, answering: [], routes: [], last_answer: null,
          age_ms: 0, error: null, digest: "00000000", blocks, coverage: {servers, tokens_s},
          weakest: {servers: Math.min(...servers), tokens_s: Math.min(...tokens_s)}, missing: spans(0), thin: spans(1), nodes,
          growth: {block_step_us: 610, cards: [8, 12, 16, 24, 48, 80].map((gib) => ({gib, formats: [
            {weights: "bf16", blocks: Math.floor(gib / 1.9), kv_positions: 4096, begin: 50, end: 50 + Math.floor(gib / 1.9), before, after},
            {weights: "q8", blocks: Math.floor(gib / 1.1), kv_positions: 4096, begin: 48, end: 48 + Math.floor(gib / 1.1), before, after},
            {weights: "q4", blocks: Math.min(80, Math.floor(gib / 0.6)), kv_positions: 4096, begin: 40, end: 40 + Math.min(40, Math.floor(gib / 0.6)), before, after}]}))}};
})())js";

// From now on the page asks no server for the swarm.
inline constexpr const char* kShowMadeUpSwarm = R"js((async (state) => {
  const real = window.fetch;
  window.fetch = (path, options) => path === "/swarm" ? Promise.resolve(new Response(JSON.stringify(state))) : real(path, options);
  const {swarm} = await import("/page/main.js");
  swarm.show(state);
  return state.nodes.length;
}))js";

}  // namespace shoal::tests
