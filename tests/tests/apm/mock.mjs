// Elastic's mock of a receiver, found from the working directory, on a port of its own. The first line on stdout is
// its address; each that follows is a request as its own normalisation has it: {"signal", "request"}.

import { createRequire } from "node:module";

const require = createRequire(process.cwd() + "/");
const { MockOtlpServer, normalizeLogs, normalizeMetrics, normalizeTrace } = require("@elastic/mockotlpserver");

function say(line) {
  process.stdout.write(JSON.stringify(line) + "\n");
}

// What it warns of is a request that it cannot read.
function fail(...words) {
  console.error(...words);
  process.exit(1);
}

const log = { trace() {}, debug() {}, info() {}, warn: fail, error: fail };
const server = new MockOtlpServer({
  log,
  services: ["http"],
  httpHostname: "127.0.0.1",
  httpPort: 0,
  onTrace: (raw) => say({ signal: "traces", request: normalizeTrace(raw) }),
  onLogs: (raw) => say({ signal: "logs", request: normalizeLogs(raw) }),
  onMetrics: (raw) => say({ signal: "metrics", request: normalizeMetrics(raw) }),
});
await server.start();
say({ address: server.httpUrl.origin });
