// node client.js MODELS: what npm's onnxruntime-node does with the library that the loader finds, said as "ok NAME" or
// "bad NAME: what", then "done N". With a second argument it is one of several threads of the test "threads".
'use strict';
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads');
const ort = require('onnxruntime-node');

const models = isMainThread ? process.argv[2] : workerData;
const quiet = { logSeverityLevel: 4 };
const model = (name) => path.join(models, `${name}.onnx`);
const open = (name, options = {}) => ort.InferenceSession.create(model(name), { ...quiet, ...options });
const floats = (data, dims = [data.length]) => new ort.Tensor('float32', Float32Array.from(data), dims);
const six = [1, 2, 3, 4, 5, 6];

async function addition(session) {
  const { c } = await session.run({ a: floats(six, [2, 3]), b: floats([10, 20, 30, 40, 50, 60], [2, 3]) });
  assert.deepEqual([...c.data], [11, 22, 33, 44, 55, 66]);
  assert.deepEqual([c.type, ...c.dims], ['float32', 2, 3]);
  await session.release();
}

// Values that each type must carry unharmed.
const numbers = {
  float32: Float32Array.of(1.5, -2, 3), float64: Float64Array.of(1.5, -2, 3), int8: Int8Array.of(-128, 0, 127),
  int16: Int16Array.of(-32768, 0, 32767), int32: Int32Array.of(-2147483648, 0, 2147483647),
  int64: BigInt64Array.of(-(2n ** 63n), 0n, 2n ** 63n - 1n), uint8: Uint8Array.of(0, 1, 255), uint16: Uint16Array.of(0, 1, 65535),
  uint32: Uint32Array.of(0, 1, 4294967295), uint64: BigUint64Array.of(0n, 1n, 2n ** 64n - 1n), bool: Uint8Array.of(1, 0, 1),
  float16: Uint16Array.of(0x3c00, 0xc000, 0x7bff),
};

const tests = {
  async from_file() {
    await addition(await open('add'));
    await addition(await open('żółw 大'));
  },

  async from_bytes() {
    const bytes = fs.readFileSync(model('add'));
    await addition(await ort.InferenceSession.create(bytes, quiet));
    const room = new Uint8Array(bytes.length + 16); // a view into a larger buffer
    room.set(bytes, 16);
    await addition(await ort.InferenceSession.create(room.buffer, 16, bytes.length, quiet));
  },

  async types() {
    for (const [type, data] of Object.entries(numbers)) {
      const session = await open(`identity_${type}`);
      const { y } = await session.run({ x: new ort.Tensor(type, data, [3]) });
      assert.equal(y.type, type);
      assert.deepEqual([...y.data], [...data]);
      assert.equal(session.inputMetadata[0].type, type);
    }
  },

  async text() {
    const session = await open('text');
    const { z } = await session.run({ x: new ort.Tensor(['one', '', 'grün'], [3]), y: new ort.Tensor(['1', '', '3'], [3]) });
    assert.deepEqual([z.type, ...z.data], ['string', 'one1', '', 'grün3']);
  },

  async metadata() {
    const session = await open('matmul');
    assert.deepEqual(session.inputNames, ['x']);
    assert.deepEqual(session.outputNames, ['y']);
    assert.deepEqual(session.inputMetadata[0], { name: 'x', isTensor: true, type: 'float32', shape: ['batch', 4] });
    const labels = await open('labels');
    assert.deepEqual(labels.outputMetadata[0], { name: 'z', isTensor: false });
  },

  async outputs() {
    const session = await open('matmul');
    const x = floats([1, 0, 0, 1, 0, 1, 0, 0], [2, 4]);
    assert.deepEqual([...(await session.run({ x }, ['y'])).y.data], [8, 10, 3, 4]);
    const mine = floats([0, 0, 0, 0], [2, 2]);
    const result = await session.run({ x }, { y: mine });
    assert.deepEqual([...mine.data], [8, 10, 3, 4]);
    assert.deepEqual([...result.y.data], [8, 10, 3, 4]);
    const found = await (await open('nonzero')).run({ x: floats([0, 3, 0, 4]) });
    assert.deepEqual([...found.y.dims, ...found.y.data], [1, 2, 1n, 3n]);
    const none = await (await open('nonzero')).run({ x: floats([]) });
    assert.deepEqual(none.y.dims, [1, 0]);
  },

  async bad_files() {
    await assert.rejects(open('no such file'), /no such file/);
    await assert.rejects(open('garbage'), /garbage/);
    await assert.rejects(open('unknown'), /NoSuchOperator/);
    await assert.rejects(ort.InferenceSession.create(Buffer.from('this is no model'), quiet));
  },

  async bad_runs() {
    const session = await open('matmul');
    await assert.rejects(session.run({ x: floats(six) }), /x/); // rank
    await assert.rejects(session.run({ x: floats(six, [2, 3]) }), /x/); // shape
    await assert.rejects(session.run({ x: new ort.Tensor('float64', Float64Array.of(1, 2, 3, 4), [1, 4]) }), /double/);
    await assert.rejects(session.run({ nothing: floats([1, 2, 3, 4], [1, 4]) }), /x/);
    await assert.rejects(session.run({ x: floats([1, 2, 3, 4], [1, 4]) }, ['nothing']), /nothing/);
    const gather = await open('gather');
    const at = new ort.Tensor('int64', BigInt64Array.of(9n), [1]);
    await assert.rejects(gather.run({ x: floats([1, 2, 3, 4]), at }), /9/);
  },

  async run_options() { // the binding knows no terminated runs
    const session = await open('matmul');
    await session.run({ x: floats([1, 2, 3, 4], [1, 4]) }, ['y'], { tag: 'a tag', logSeverityLevel: 4, logVerbosityLevel: 0 });
  },

  async options() {
    const profiles = () => fs.readdirSync(models).filter((name) => name.startsWith('node_profile')).map((name) => path.join(models, name));
    profiles().forEach((name) => fs.unlinkSync(name));
    const prefix = path.join(models, 'node_profile');
    const session = await open('matmul', {
      intraOpNumThreads: 2, interOpNumThreads: 1, graphOptimizationLevel: 'extended', enableCpuMemArena: false, enableMemPattern: false,
      executionMode: 'parallel', logId: 'a session', executionProviders: ['cpu'],
      enableProfiling: true, profileFilePrefix: prefix, extra: { session: { use_env_allocators: '0', some_unknown_key: 'x' } },
    });
    await session.run({ x: floats([1, 2, 3, 4], [1, 4]) });
    session.endProfiling();
    await session.release();
    assert.equal(profiles().length, 1);
    profiles().forEach((name) => fs.unlinkSync(name));
    await assert.rejects(open('matmul', { executionProviders: ['cuda'] }));
    await assert.rejects(open('matmul', { executionProviders: ['nothing'] }), /nothing/);
  },

  async external_data() {
    const session = await open('external');
    const { y } = await session.run({ x: floats(new Array(300).fill(1)) });
    assert.equal(y.data[299], 300);
    const given = [{ path: 'external.bin', data: fs.readFileSync(path.join(models, 'external.bin')) }];
    const inMemory = await ort.InferenceSession.create(fs.readFileSync(model('external')), { ...quiet, externalData: given });
    assert.equal((await inMemory.run({ x: floats(new Array(300).fill(1)) })).y.data[299], 300);
  },

  async threads() {
    const workers = [1, 2, 3].map(() => new Worker(__filename, { workerData: models }));
    const answers = await Promise.all(workers.map((worker) => new Promise((resolve, reject) => worker.on('message', resolve).on('error', reject))));
    assert.deepEqual(answers, ['right', 'right', 'right']);
  },

  async backends() {
    assert.ok(ort.listSupportedBackends().some((backend) => backend.name === 'cpu'));
  },
};

async function runOften() {
  const session = await open('matmul');
  for (let i = 0; i < 100; ++i) {
    const { y } = await session.run({ x: floats(new Array(8).fill(i), [2, 4]) });
    if (y.data[3] !== 20 * i) return `wrong: ${y.data}`;
  }
  return 'right';
}

function sayLibrary() {
  const line = fs.readFileSync('/proc/self/maps', 'utf8').split('\n').find((text) => text.includes('libonnxruntime.so'));
  console.log(`library ${line.slice(line.indexOf('/'))}`);
}

async function main() {
  sayLibrary();
  for (const [name, test] of Object.entries(tests)) {
    try {
      await test();
      console.log(`ok ${name}`);
    } catch (error) {
      console.log(`bad ${name}: ${String(error.stack).replaceAll('\n', ' ')}`);
    }
  }
  console.log(`done ${Object.keys(tests).length}`);
}

if (isMainThread) main();
else runOften().then((answer) => parentPort.postMessage(answer), (error) => parentPort.postMessage(String(error)));
