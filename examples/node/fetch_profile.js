#!/usr/bin/env node
// Fetches one person's profile from a Tributary gateway with stock gRPC for Node. Nothing
// here is special to Tributary but its protos, which are read as they are.
//
//     fetch_profile.js DIR/federation.json NUMBER ITEM…
//
// Exit code: 0 every agency answered, 3 some did not, 1 error.
'use strict';

const { randomUUID } = require('node:crypto');
const { readFileSync } = require('node:fs');
const grpc = require('@grpc/grpc-js');
const { loadSync } = require('@grpc/proto-loader');

const [file, subject, ...items] = process.argv.slice(2);
const federation = JSON.parse(readFileSync(file, 'utf8'));
const grant = readFileSync(federation.grants.find((known) => known.subject === subject).file);

const shapes = { includeDirs: [`${__dirname}/../../proto`], keepCase: true, defaults: true,
  oneofs: true, enums: String, longs: String };
const { tributary } = grpc.loadPackageDefinition(loadSync('tributary/v1/profile.proto', shapes));
const [anchor, key, certificate] = [federation.trust_bundle, federation.consumers[0].key,
  federation.consumers[0].certificate].map((path) => readFileSync(path));
const gateway = new tributary.v1.ProfileService(federation.gateway.endpoint,
  grpc.credentials.createSsl(anchor, key, certificate));

// Repeat it with the same id, so that no agency counts a second use.
const request = { request_id: randomUUID(), items, grant: { sd_jwt: grant } };
gateway.GetProfile(request, { deadline: Date.now() + 10_000 }, (error, answer) => {
  gateway.close();
  if (error) {
    console.error(`${grpc.status[error.code]}: ${error.details}`);
    process.exitCode = 1;
    return;
  }
  for (const { id, value, agency } of answer.profile.items) {
    console.log(id, JSON.stringify(value[value.kind]), agency || 'sum of several');
  }
  for (const { agency, status } of answer.sections) console.log(agency, status);
  const answered = ['SECTION_STATUS_OK', 'SECTION_STATUS_NO_RECORD'];
  process.exitCode = answer.sections.every(({ status }) => answered.includes(status)) ? 0 : 3;
});
