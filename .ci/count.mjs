// Sums what the rings of tests reported, and says last which tests failed and how, so that the end of a log is enough to know it.
// What was attempted again since the machine was too busy is counted too: a test that needs that often is none.
// Fails unless every ring ran, all of its tests passed, and none was skipped.
import { existsSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

const [folder, ...rings] = process.argv.slice(2);
const total = { passed: 0, failed: 0, skipped: 0 };

for (const ring of rings) {
  const { passed, failed, skipped, again } = readRing(ring);
  console.log(`${ring}: ${passed} passed, ${failed} failed, ${skipped} skipped; ${again} attempted again`);
  total.passed += passed;
  total.failed += failed;
  total.skipped += skipped;
}
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.passed > 0 && total.failed === 0 && total.skipped === 0 ? 0 : 1;

function readRing(name) {
  const status = existsSync(join(folder, `${name}.status`)) ? Number(readFileSync(join(folder, `${name}.status`), 'utf8')) : 1;
  const counts = { passed: 0, failed: 0, skipped: 0, again: 0 };
  const report = join(folder, `${name}.json`);
  for (const file of existsSync(report) ? JSON.parse(readFileSync(report, 'utf8')).testResults : []) {
    countFile(file, counts);
    countAttempts(file, counts);
    printFailures(file);
  }
  // A check before the tests, an error outside any test, or a ring that did not run.
  if (counts.failed === 0 && (status !== 0 || counts.passed === 0)) counts.failed = 1;
  return counts;
}

function countFile({ status, assertionResults }, counts) {
  const before = counts.failed;
  for (const test of assertionResults) {
    if (test.status === 'passed') counts.passed += 1;
    else if (test.status === 'failed') counts.failed += 1;
    else counts.skipped += 1;
  }
  // A file that could not be loaded has no tests to count.
  if (status === 'failed' && counts.failed === before) counts.failed += 1;
}

function countAttempts({ name, assertionResults }, counts) {
  for (const { fullName, meta } of assertionResults) {
    if (!meta?.attemptedAgain) continue;
    counts.again += meta.attemptedAgain;
    console.log(`ATTEMPTED AGAIN ${relative('.', name)}: ${fullName}: ${meta.attemptedAgain}`);
  }
}

function printFailures({ name, message, assertionResults }) {
  const file = relative('.', name);
  const failures = assertionResults.filter(({ status }) => status === 'failed');
  for (const { fullName, failureMessages } of failures) console.log(`FAILED ${file}: ${fullName}\n${beginning(failureMessages.join('\n'))}`);
  if (failures.length === 0 && message) console.log(`FAILED ${file}\n${beginning(message)}`);
}

/** Enough of a failure to know it by: its message, and where it was raised. */
function beginning(text) {
  return text
    .split('\n')
    .slice(0, 15)
    .map((line) => `  ${line.slice(0, 300)}`)
    .join('\n');
}
