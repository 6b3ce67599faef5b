// Serves descriptions of services on the loopback interface, so that requests can be checked against them.
//
//   node server.js FILE[,FILE...] ...    each argument is one service, its descriptions apart by commas
//
// Writes one line of JSON when all are there, the ports in the order of the arguments, and ends with its standard input.
"use strict";

const { getHttpOperationsFromSpec } = require("@stoplight/prism-cli/dist/operations");
const { createLogger } = require("@stoplight/prism-core");
const { createServer } = require("@stoplight/prism-http-server");

// The libraries tell of each request, which is of no use here.
const silent = createLogger("descriptions", { level: "silent" });
const config = {
  mock: { dynamic: false },
  checkSecurity: true,
  validateRequest: true,
  validateResponse: false, // the answers are made up here: what is wrong with them says nothing of a request
  isProxy: false,
  errors: false,
};

async function serve(files) {
  const operations = [];
  for (const file of files.split(",")) operations.push(...(await getHttpOperationsFromSpec(file)));
  const server = createServer(operations, { components: { logger: silent }, cors: false, config });
  const address = await server.listen(0, "127.0.0.1");
  return Number(new URL(address).port);
}

async function main() {
  const ports = [];
  for (const files of process.argv.slice(2)) ports.push(await serve(files));
  process.stdout.write(JSON.stringify(ports) + "\n");
  process.stdin.resume();
  process.stdin.on("end", () => process.exit(0));
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
