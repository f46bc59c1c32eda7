import ai.onnxruntime.*;
import java.io.File;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.LongBuffer;
import java.nio.ShortBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.*;
import java.util.concurrent.*;

/** java Client MODELS: what the Java package does with the library in -Donnxruntime.native.path, said as "ok NAME" or "bad NAME: what", then "done N". */
public final class Client {
  private interface Test {
    void run() throws Exception;
  }

  private static String models;
  private static OrtEnvironment env;

  private static String model(String name) {
    return Path.of(models, name + ".onnx").toString();
  }

  private static void check(boolean right, Object what) {
    if (!right) throw new AssertionError(what);
  }

  private static void fails(OrtException.OrtErrorCode code, String text, Test test) throws Exception {
    try {
      test.run();
    } catch (OrtException error) {
      check(error.getCode() == code && error.getMessage().contains(text), error + " is not " + code + " with '" + text + "'");
      return;
    }
    throw new AssertionError("no error, where " + code + " was expected");
  }

  private static OnnxTensor floats(float[] data, long... dims) throws OrtException {
    return OnnxTensor.createTensor(env, FloatBuffer.wrap(data), dims);
  }

  private static final float[] ONE_TO_SIX = {1, 2, 3, 4, 5, 6};

  private static void addition(OrtSession session) throws OrtException {
    try (session; OnnxTensor a = floats(ONE_TO_SIX, 2, 3); OnnxTensor b = floats(new float[] {10, 20, 30, 40, 50, 60}, 2, 3);
        OrtSession.Result result = session.run(Map.of("a", a, "b", b))) {
      float[][] c = (float[][]) result.get("c").get().getValue();
      check(Arrays.deepEquals(c, new float[][] {{11, 22, 33}, {44, 55, 66}}), Arrays.deepToString(c));
    }
  }

  private static void fromFile() throws Exception {
    addition(env.createSession(model("add")));
    addition(env.createSession(model("żółw 大")));
  }

  private static void fromBytes() throws Exception {
    byte[] bytes = Files.readAllBytes(Path.of(model("add")));
    addition(env.createSession(bytes));
    ByteBuffer direct = ByteBuffer.allocateDirect(bytes.length).order(ByteOrder.nativeOrder()).put(bytes).flip();
    addition(env.createSession(direct));
  }

  private static void identity(String type, OnnxTensor x, OnnxJavaType kind, Object want) throws OrtException {
    try (x; OrtSession session = env.createSession(model("identity_" + type)); OrtSession.Result result = session.run(Map.of("x", x))) {
      OnnxTensor y = (OnnxTensor) result.get(0);
      check(y.getInfo().type == kind, type + ": " + y.getInfo());
      check(Objects.deepEquals(y.getValue(), want), type + " was changed");
      check(((TensorInfo) session.getInputInfo().get("x").getInfo()).type == kind, session.getInputInfo());
    }
  }

  private static void types() throws Exception {
    long[] three = {3};
    float[] f = {1.5f, -2, 3};
    double[] d = {1.5, -2, 3};
    byte[] b = {-128, 0, 127};
    short[] s = {-32768, 0, 32767};
    int[] i = {Integer.MIN_VALUE, 0, Integer.MAX_VALUE};
    long[] l = {Long.MIN_VALUE, 0, Long.MAX_VALUE};
    boolean[] flags = {true, false, true};
    ByteBuffer bytes = ByteBuffer.wrap(b);
    identity("float32", OnnxTensor.createTensor(env, f), OnnxJavaType.FLOAT, f);
    identity("float64", OnnxTensor.createTensor(env, d), OnnxJavaType.DOUBLE, d);
    identity("int8", OnnxTensor.createTensor(env, bytes, three), OnnxJavaType.INT8, b);
    identity("uint8", OnnxTensor.createTensor(env, bytes, three, OnnxJavaType.UINT8), OnnxJavaType.UINT8, b);
    identity("int16", OnnxTensor.createTensor(env, ShortBuffer.wrap(s), three), OnnxJavaType.INT16, s);
    identity("int32", OnnxTensor.createTensor(env, IntBuffer.wrap(i), three), OnnxJavaType.INT32, i);
    identity("int64", OnnxTensor.createTensor(env, LongBuffer.wrap(l), three), OnnxJavaType.INT64, l);
    identity("bool", OnnxTensor.createTensor(env, flags), OnnxJavaType.BOOL, flags);
    ShortBuffer half = ShortBuffer.wrap(new short[] {0x3c00, (short) 0xc000, 0x4200}); // 1, -2, 3
    identity("float16", OnnxTensor.createTensor(env, half, three, OnnxJavaType.FLOAT16), OnnxJavaType.FLOAT16, new float[] {1, -2, 3});
    ShortBuffer brain = ShortBuffer.wrap(new short[] {0x3f80, (short) 0xc000, 0x4040});
    identity("bfloat16", OnnxTensor.createTensor(env, brain, three, OnnxJavaType.BFLOAT16), OnnxJavaType.BFLOAT16, new float[] {1, -2, 3});
  }

  private static void text() throws Exception {
    try (OrtSession session = env.createSession(model("text"));
        OnnxTensor x = OnnxTensor.createTensor(env, new String[] {"one", "", "grün"});
        OnnxTensor y = OnnxTensor.createTensor(env, new String[] {"1", "", "3"}, new long[] {3});
        OrtSession.Result result = session.run(Map.of("x", x, "y", y))) {
      String[] z = (String[]) result.get(0).getValue();
      check(Arrays.equals(z, new String[] {"one1", "", "grün3"}), Arrays.toString(z));
    }
  }

  private static void sequences() throws Exception {
    try (OrtSession session = env.createSession(model("split")); OnnxTensor x = floats(new float[] {5, 6, 7}, 3);
        OrtSession.Result result = session.run(Map.of("x", x))) {
      OnnxSequence sequence = (OnnxSequence) result.get(0);
      List<? extends OnnxValue> items = sequence.getValue();
      check(items.size() == 3 && ((float[]) items.get(2).getValue())[0] == 7, items);
      check(session.getOutputInfo().get("s").getInfo() instanceof SequenceInfo, session.getOutputInfo());
      for (OnnxValue item : items) item.close();
    }
  }

  private static void maps() throws Exception {
    try (OrtSession labels = env.createSession(model("labels")); OrtSession ids = env.createSession(model("ids"));
        OnnxTensor x = floats(ONE_TO_SIX, 2, 3); OrtSession.Result named = labels.run(Map.of("x", x));
        OrtSession.Result numbered = ids.run(Map.of("x", x))) {
      OnnxMap first = (OnnxMap) ((OnnxSequence) named.get(0)).getValue().get(0);
      check(first.getValue().equals(Map.of("one", 1f, "two", 2f, "three", 3f)) && first.size() == 3, first.getValue());
      OnnxMap second = (OnnxMap) ((OnnxSequence) numbered.get(0)).getValue().get(1);
      check(second.getValue().equals(Map.of(10L, 4f, 20L, 5f, 30L, 6f)), second.getValue());
      SequenceInfo info = (SequenceInfo) labels.getOutputInfo().get("z").getInfo();
      check(info.sequenceOfMaps && info.mapInfo.keyType == OnnxJavaType.STRING && info.mapInfo.valueType == OnnxJavaType.FLOAT, info);
    }
  }

  private static void sparse() throws Exception {
    ByteBuffer room = ByteBuffer.allocateDirect(64).order(ByteOrder.nativeOrder());
    LongBuffer indices = ByteBuffer.allocateDirect(48).order(ByteOrder.nativeOrder()).asLongBuffer().put(new long[] {0, 0, 1, 1, 2, 2}).flip();
    FloatBuffer values = room.asFloatBuffer().put(new float[] {1, 2, 3}).flip();
    OnnxSparseTensor.COOTensor coo = new OnnxSparseTensor.COOTensor(indices, new long[] {3, 2}, values, new long[] {3, 3}, OnnxJavaType.FLOAT, 3);
    try (OrtSession session = env.createSession(model("sparse")); OnnxSparseTensor a = OnnxSparseTensor.createSparseTensor(env, coo);
        OnnxTensor b = floats(ONE_TO_SIX, 3, 2); OrtSession.Result result = session.run(Map.of("a", a, "b", b))) {
      float[][] y = (float[][]) result.get(0).getValue();
      check(Arrays.deepEquals(y, new float[][] {{1, 2}, {6, 8}, {15, 18}}), Arrays.deepToString(y));
    }
  }

  private static void metadata() throws Exception {
    try (OrtSession session = env.createSession(model("add")); OrtSession other = env.createSession(model("matmul"))) {
      OnnxModelMetadata about = session.getMetadata();
      check(about.getProducerName().equals("kapell clients") && about.getGraphName().equals("addition"), about);
      check(about.getDomain().equals("org.example") && about.getDescription().equals("adds two tensors"), about);
      check(about.getGraphDescription().equals("one node") && about.getVersion() == 7, about);
      check(about.getCustomMetadata().equals(Map.of("author", "somebody", "empty", "", "umlaut", "grün")), about.getCustomMetadata());
      check(about.getCustomMetadataValue("nothing").isEmpty(), about);
      check(session.getInputNames().equals(Set.of("a", "b")) && session.getNumOutputs() == 1, session);
      TensorInfo info = (TensorInfo) other.getInputInfo().get("x").getInfo();
      check(Arrays.equals(info.getShape(), new long[] {-1, 4}) && info.getDimensionNames()[0].equals("batch"), info);
    }
  }

  private static void pinnedOutputs() throws Exception {
    FloatBuffer room = ByteBuffer.allocateDirect(8).order(ByteOrder.nativeOrder()).asFloatBuffer();
    try (OrtSession session = env.createSession(model("matmul")); OnnxTensor x = floats(new float[] {1, 0, 0, 1}, 1, 4);
        OnnxTensor y = OnnxTensor.createTensor(env, room, new long[] {1, 2})) {
      try (OrtSession.Result result = session.run(Map.of("x", x), Map.of("y", y))) {
        check(room.get(0) == 8 && room.get(1) == 10, room.get(0) + ", " + room.get(1));
      }
      try (OrtSession.Result result = session.run(Map.of("x", x), Set.of("y"))) {
        check(result.size() == 1, result.size());
      }
    }
    try (OrtSession session = env.createSession(model("nonzero")); OnnxTensor x = floats(new float[] {0, 3, 0, 4}, 4);
        OrtSession.Result result = session.run(Map.of("x", x))) {
      check(Arrays.deepEquals((long[][]) result.get(0).getValue(), new long[][] {{1, 3}}), "indices");
    }
  }

  private static void badFiles() throws Exception {
    fails(OrtException.OrtErrorCode.ORT_NO_SUCHFILE, "no such file", () -> env.createSession(model("no such file")));
    fails(OrtException.OrtErrorCode.ORT_INVALID_PROTOBUF, "garbage", () -> env.createSession(model("garbage")));
    fails(OrtException.OrtErrorCode.ORT_INVALID_GRAPH, "NoSuchOperator", () -> env.createSession(model("unknown")));
    fails(OrtException.OrtErrorCode.ORT_INVALID_PROTOBUF, "", () -> env.createSession("this is no model".getBytes()));
  }

  private static void badRuns() throws Exception {
    try (OrtSession session = env.createSession(model("matmul")); OnnxTensor flat = floats(ONE_TO_SIX, 6);
        OnnxTensor wide = OnnxTensor.createTensor(env, new double[][] {{1, 2, 3, 4}}); OnnxTensor good = floats(new float[4], 1, 4)) {
      fails(OrtException.OrtErrorCode.ORT_INVALID_ARGUMENT, "x", () -> session.run(Map.of("x", flat)));
      fails(OrtException.OrtErrorCode.ORT_INVALID_ARGUMENT, "double", () -> session.run(Map.of("x", wide)));
      fails(OrtException.OrtErrorCode.ORT_JAVA_UNKNOWN, "nothing", () -> session.run(Map.of("nothing", good)));
      session.run(Map.of("x", good)).close();
    }
    try (OrtSession session = env.createSession(model("gather")); OnnxTensor x = floats(new float[4], 4);
        OnnxTensor at = OnnxTensor.createTensor(env, new long[] {9})) {
      fails(OrtException.OrtErrorCode.ORT_INVALID_ARGUMENT, "9", () -> session.run(Map.of("x", x, "at", at)));
    }
  }

  private static void terminated() throws Exception {
    try (OrtSession session = env.createSession(model("slow")); OrtSession.RunOptions options = new OrtSession.RunOptions();
        OnnxTensor count = OnnxTensor.createTensor(env, 1L << 40); OnnxTensor two = OnnxTensor.createTensor(env, 2L);
        OnnxTensor x = floats(new float[64 * 64], 64, 64)) {
      options.setRunTag("a tag");
      check(options.getRunTag().equals("a tag"), options.getRunTag());
      options.addRunConfigEntry("some.key", "some value");
      Thread other = new Thread(() -> {
        try {
          Thread.sleep(50);
          options.setTerminate(true);
        } catch (InterruptedException | OrtException error) {
          throw new AssertionError(error);
        }
      });
      other.start();
      fails(OrtException.OrtErrorCode.ORT_FAIL, "terminate", () -> session.run(Map.of("count", count, "x", x), options));
      other.join();
      options.setTerminate(false);
      session.run(Map.of("count", two, "x", x), options).close();
    }
  }

  private static void threads() throws Exception {
    ExecutorService pool = Executors.newFixedThreadPool(8);
    try (OrtSession session = env.createSession(model("matmul"))) {
      List<Future<Boolean>> all = new ArrayList<>();
      for (int i = 0; i < 8; ++i) all.add(pool.submit(() -> runOften(session)));
      for (Future<Boolean> one : all) check(one.get(), "wrong numbers");
    } finally {
      pool.shutdown();
    }
  }

  private static boolean runOften(OrtSession session) throws OrtException {
    for (int i = 0; i < 100; ++i) {
      float[][] data = new float[1 + i % 5][4];
      for (float[] row : data) Arrays.fill(row, i);
      try (OnnxTensor x = OnnxTensor.createTensor(env, data); OrtSession.Result result = session.run(Map.of("x", x))) {
        float[][] y = (float[][]) result.get(0).getValue();
        if (y[i % 5][1] != 20 * i) return false;
      }
    }
    return true;
  }

  private static void options() throws Exception {
    try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
      options.setIntraOpNumThreads(2);
      options.setInterOpNumThreads(1);
      options.setExecutionMode(OrtSession.SessionOptions.ExecutionMode.PARALLEL);
      options.setOptimizationLevel(OrtSession.SessionOptions.OptLevel.EXTENDED_OPT);
      options.setMemoryPatternOptimization(false);
      options.setCPUArenaAllocator(false);
      options.setLoggerId("a session");
      options.setSessionLogLevel(OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL);
      options.setSessionLogVerbosityLevel(0);
      options.setDeterministicCompute(true);
      options.setSymbolicDimensionValue("batch", 3);
      options.addConfigEntry("some.key", "some value");
      options.addCPU(true);
      options.enableProfiling(Path.of(models, "java_profile").toString());
      fails(OrtException.OrtErrorCode.ORT_EP_FAIL, "", () -> options.addCUDA(0));
      try (OrtSession session = env.createSession(model("matmul"), options); OnnxTensor x = floats(new float[12], 3, 4)) {
        check(((TensorInfo) session.getInputInfo().get("x").getInfo()).getShape()[0] == 3, "the batch");
        session.run(Map.of("x", x)).close();
        check(session.getProfilingStartTimeInNs() > 0, "start of the profile");
        File written = new File(session.endProfiling());
        check(written.length() > 0 && written.delete(), written);
      }
    }
  }

  private static void givenWeights() throws Exception {
    float[] weights = new float[300], ones = new float[300];
    for (int i = 0; i < 300; ++i) weights[i] = 2 * i;
    Arrays.fill(ones, 1);
    try (OrtSession.SessionOptions options = new OrtSession.SessionOptions(); OnnxTensor w = floats(weights, 300); OnnxTensor x = floats(ones, 300)) {
      options.addExternalInitializers(Map.of("w", w));
      try (OrtSession session = env.createSession(Files.readAllBytes(Path.of(model("external"))), options); OrtSession.Result result = session.run(Map.of("x", x))) {
        check(((float[]) result.get(0).getValue())[299] == 599, "the last");
      }
    }
    try (OrtSession.SessionOptions options = new OrtSession.SessionOptions(); OnnxTensor bias = floats(new float[] {100, 200}, 2);
        OnnxTensor x = floats(new float[] {1, 2}, 2)) {
      options.addInitializer("bias", bias);
      try (OrtSession session = env.createSession(model("defaults"), options); OrtSession.Result result = session.run(Map.of("x", x))) {
        check(((float[]) result.get(0).getValue())[1] == 204, "the second");
      }
    }
  }

  private static void environment() throws Exception {
    check(OrtEnvironment.getEnvironment() == env, "one environment");
    check(OrtEnvironment.getAvailableProviders().contains(OrtProvider.CPU), OrtEnvironment.getAvailableProviders());
    check(env.getVersion().matches("1\\.\\d+\\.\\d+"), env.getVersion());
    check(!env.isTrainingEnabled(), "training");
    env.setTelemetry(false);
    boolean found = false;
    for (OrtEpDevice device : env.getEpDevices()) found |= device.getEpName().equals("CPUExecutionProvider");
    check(found, env.getEpDevices());
    fails(OrtException.OrtErrorCode.ORT_FAIL, "", () -> env.registerExecutionProviderLibrary("none", model("none")));
  }

  public static void main(String[] arguments) throws Exception {
    models = arguments[0];
    env = OrtEnvironment.getEnvironment(OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL, "client");
    for (String line : Files.readAllLines(Path.of("/proc/self/maps"))) {
      if (line.contains("libonnxruntime.so")) {
        System.out.println("library " + line.substring(line.indexOf('/')));
        break;
      }
    }
    Map<String, Test> tests = new LinkedHashMap<>();
    tests.put("from_file", Client::fromFile);
    tests.put("from_bytes", Client::fromBytes);
    tests.put("types", Client::types);
    tests.put("text", Client::text);
    tests.put("sequences", Client::sequences);
    tests.put("maps", Client::maps);
    tests.put("sparse", Client::sparse);
    tests.put("metadata", Client::metadata);
    tests.put("pinned_outputs", Client::pinnedOutputs);
    tests.put("bad_files", Client::badFiles);
    tests.put("bad_runs", Client::badRuns);
    tests.put("terminated", Client::terminated);
    tests.put("threads", Client::threads);
    tests.put("options", Client::options);
    tests.put("given_weights", Client::givenWeights);
    tests.put("environment", Client::environment);
    for (Map.Entry<String, Test> test : tests.entrySet()) {
      try {
        test.getValue().run();
        System.out.println("ok " + test.getKey());
      } catch (Throwable error) {
        String where = error.getStackTrace().length > 0 ? error.getStackTrace()[0].toString() : "";
        System.out.println("bad " + test.getKey() + ": " + String.valueOf(error).replace('\n', ' ') + " at " + where);
      }
    }
    System.out.println("done " + tests.size());
  }
}
