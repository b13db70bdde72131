// A user of grpc-js who scores, reads the details of an error, and streams. Prints JSON.
//
// Usage: node session.js ADDRESS PROTOS GOOGLE, of a router that serves the model "fraud", with the
// folders of our protos and of google/rpc.
"use strict";

const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");
const protobuf = require("protobufjs");
const path = require("path");
const fs = require("fs");

const [address, protos, google] = process.argv.slice(2);
const within = () => ({ deadline: Date.now() + 60_000 });

const definition = loader.loadSync("understudy/scoring/v1/scoring.proto", {
  includeDirs: [protos],
  enums: String,
  longs: Number,
  keepCase: true,
});
const { ScoringService } = grpc.loadPackageDefinition(definition).understudy.scoring.v1;

const root = new protobuf.Root();
root.resolvePath = (_, target) => {
  const own = path.join(google, target);
  return fs.existsSync(own) ? own : target; // google/protobuf is built in
};
root.loadSync(["google/rpc/status.proto", "google/rpc/error_details.proto"]);
const typeOf = (name) => root.lookupType(name);

function detailsOf(error) {
  const [packed] = error.metadata.get("grpc-status-details-bin");
  const status = typeOf("google.rpc.Status").decode(packed);
  const details = {};
  for (const each of status.details) {
    const name = each.type_url.split("/").pop();
    details[name] = typeOf(name).decode(each.value);
  }
  return details;
}

function score(client, request) {
  return new Promise((resolve, reject) => {
    client.Score(request, within(), (error, answer) => (error ? reject(error) : resolve(answer)));
  });
}

function stream(client, ids) {
  return new Promise((resolve, reject) => {
    const answers = [];
    const call = client.ScoreStream(within());
    call.on("data", (answer) => answers.push(answer));
    call.on("error", reject);
    call.on("end", () => resolve(answers));
    for (const id of ids) {
      const entities = id === "bad" ? {} : { user: "u1" };
      call.write({ request: { model: "fraud", entities, request_id: id } });
    }
    call.end();
  });
}

async function main() {
  const client = new ScoringService(address, grpc.credentials.createInsecure());
  const seen = {};
  const answer = await score(client, {
    model: "fraud",
    entities: { user: "u1" },
    features: { amount: { number: 2.5 } },
    decision_threshold: 1000.0,
  });
  seen.score = answer.score;
  seen.version = answer.served_by.version;
  seen.decision = answer.decision;
  try {
    await score(client, { model: "fraud", entities: { user: "" } });
  } catch (error) {
    const details = detailsOf(error);
    seen.code = error.code;
    seen.reason = details["google.rpc.ErrorInfo"].reason;
    seen.fields = details["google.rpc.BadRequest"].fieldViolations;
  }
  const streamed = await stream(client, ["s1", "bad", "s3"]);
  seen.streamed = Object.fromEntries(
    streamed.map((each) => [each.request_id, each.error ? each.error.reason : "scored"]),
  );
  client.close();
  process.stdout.write(JSON.stringify(seen));
}

main();
