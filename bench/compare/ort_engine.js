// ONNX Runtime's process: node ort_engine.js THREADS FOLDER SECONDS
// Checks model.onnx's answer to x_ort.npy with y.npy, measures, and prints one JSON object.
const fs = require('fs'), path = require('path'), ort = require('onnxruntime-node');

const KINDS = {'<f4': ['float32', Float32Array], '<i8': ['int64', BigInt64Array]};

// A row-major .npy of version 1.
function readNpy(file) {
  const bytes = fs.readFileSync(file), begin = 10 + bytes.readUInt16LE(8);
  const header = bytes.toString('latin1', 10, begin);
  const [type, Array] = KINDS[header.match(/'descr': '([^']+)'/)[1]];
  const dims = header.match(/'shape': \(([^)]*)\)/)[1].split(',').filter(d => d.trim()).map(Number);
  return new ort.Tensor(type, new Array(Uint8Array.from(bytes.subarray(begin)).buffer), dims);
}

(async () => {
  const [threads, folder, seconds] = process.argv.slice(2);
  const session = await ort.InferenceSession.create(path.join(folder, 'model.onnx'), {
    intraOpNumThreads: +threads, interOpNumThreads: 1, graphOptimizationLevel: 'all'});
  const feeds = {x: readNpy(path.join(folder, 'x_ort.npy'))};
  const expected = readNpy(path.join(folder, 'y.npy')).data, answer = (await session.run(feeds)).y.data;
  const error = Math.max(...expected.map((v, i) => Math.abs(v - answer[i])));
  for (let i = 0; i < 3; ++i) await session.run(feeds);
  const times = [], end = performance.now() + 1e3 * seconds;
  while (times.length < 5 || performance.now() < end) {
    const begin = performance.now();
    await session.run(feeds);
    times.push(performance.now() - begin);
  }
  times.sort((a, b) => a - b);
  const version = require('onnxruntime-node/package.json').version;
  console.log(JSON.stringify({median_ms: times[times.length >> 1], runs: times.length, error, version}));
})().catch(e => { console.error(String(e)); process.exit(1); });
