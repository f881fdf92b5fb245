// Sums what the rings of tests reported. Fails unless every ring ran, all of its tests passed, and none was skipped.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const [folder, ...rings] = process.argv.slice(2);
const total = { passed: 0, failed: 0, skipped: 0 };

for (const ring of rings) {
  const { passed, failed, skipped } = readRing(ring);
  console.log(`${ring}: ${passed} passed, ${failed} failed, ${skipped} skipped`);
  total.passed += passed;
  total.failed += failed;
  total.skipped += skipped;
}
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.passed > 0 && total.failed === 0 && total.skipped === 0 ? 0 : 1;

function readRing(name) {
  const status = existsSync(join(folder, `${name}.status`)) ? Number(readFileSync(join(folder, `${name}.status`), 'utf8')) : 1;
  const counts = { passed: 0, failed: 0, skipped: 0 };
  const report = join(folder, `${name}.json`);
  for (const file of existsSync(report) ? JSON.parse(readFileSync(report, 'utf8')).testResults : []) countFile(file, counts);
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
