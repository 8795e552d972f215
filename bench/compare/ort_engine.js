// ONNX Runtime's process: node ort_engine.js THREADS FOLDER SECONDS [verbose]
// FOLDER/ort.json: {model: FILE, inputs: {NAME: FILE.npy}, outputs: {NAME: FILE.npy}}. Checks the
// model's answer, measures, and prints one JSON object; its `error` is the greatest over all outputs of
// |answer - expected| / (1 + |expected|). `verbose`: ONNX Runtime tells what its arena allocates.
const fs = require('fs'), path = require('path'), ort = require('onnxruntime-node');

const KINDS = {
  '<f4': ['float32', Float32Array], '<f8': ['float64', Float64Array], '<i8': ['int64', BigInt64Array],
  '<i4': ['int32', Int32Array], '|u1': ['uint8', Uint8Array], '|i1': ['int8', Int8Array],
  '|b1': ['bool', Uint8Array]};

// A row-major .npy of version 1.
function readNpy(file) {
  const bytes = fs.readFileSync(file), begin = 10 + bytes.readUInt16LE(8);
  const header = bytes.toString('latin1', 10, begin);
  const [type, Array] = KINDS[header.match(/'descr': '([^']+)'/)[1]];
  const dims = header.match(/'shape': \(([^)]*)\)/)[1].split(',').filter(d => d.trim()).map(Number);
  return new ort.Tensor(type, new Array(Uint8Array.from(bytes.subarray(begin)).buffer), dims);
}

(async () => {
  const [threads, folder, seconds, log] = process.argv.slice(2);
  if (log) ort.env.logLevel = log;
  const task = JSON.parse(fs.readFileSync(path.join(folder, 'ort.json')));
  const session = await ort.InferenceSession.create(path.resolve(folder, task.model), {
    intraOpNumThreads: +threads, interOpNumThreads: 1, graphOptimizationLevel: 'all',
    extra: {session: {use_device_allocator_for_initializers: '1'}}});
  const tensors = files => Object.fromEntries(
      Object.entries(files).map(([name, file]) => [name, readNpy(path.join(folder, file))]));
  const feeds = tensors(task.inputs), answer = await session.run(feeds);
  let error = 0;
  for (const [name, {data}] of Object.entries(tensors(task.outputs))) {
    if (data.length !== answer[name].data.length) throw new Error(`output ${name} has another size`);
    data.forEach((v, i) => {
      const off = Math.abs(Number(answer[name].data[i]) - Number(v)) / (1 + Math.abs(Number(v)));
      error = Math.max(error, Number.isNaN(off) ? Infinity : off);
    });
  }
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
