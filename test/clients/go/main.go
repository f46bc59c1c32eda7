// client LIBRARY MODELS: what the Go package does with the library, said as "ok NAME" or "bad NAME: what", then "done N".
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"time"

	ort "github.com/yalue/onnxruntime_go"
)

var models string

func model(name string) string { return filepath.Join(models, name+".onnx") }

// must ends the test that called it when something failed.
func must(e error) {
	if e != nil {
		panic(e)
	}
}

func check(right bool, what string, values ...any) {
	if !right {
		panic(fmt.Errorf(what, values...))
	}
}

func fails(e error, text string) {
	check(e != nil, "no error, where one with %q was expected", text)
	check(strings.Contains(e.Error(), text), "the error is %q, without %q", e, text)
}

func tensor[T ort.TensorData](data []T, dims ...int64) *ort.Tensor[T] {
	made, e := ort.NewTensor(ort.NewShape(dims...), data)
	must(e)
	return made
}

func session(name string, inputs, outputs []string) *ort.DynamicAdvancedSession {
	made, e := ort.NewDynamicAdvancedSession(model(name), inputs, outputs, nil)
	must(e)
	return made
}

// run gives the only output of a session on one input.
func run(s *ort.DynamicAdvancedSession, inputs ...ort.Value) ort.Value {
	outputs := []ort.Value{nil}
	must(s.Run(inputs, outputs))
	return outputs[0]
}

func addition() {
	a, b := tensor([]float32{1, 2, 3, 4, 5, 6}, 2, 3), tensor([]float32{10, 20, 30, 40, 50, 60}, 2, 3)
	defer a.Destroy()
	defer b.Destroy()
	c, e := ort.NewEmptyTensor[float32](ort.NewShape(2, 3))
	must(e)
	defer c.Destroy()
	names, result := []string{"a", "b"}, []string{"c"}
	fromFile, e := ort.NewAdvancedSession(model("add"), names, result, []ort.Value{a, b}, []ort.Value{c}, nil)
	must(e)
	must(fromFile.Run())
	check(c.GetData()[5] == 66, "5+60 is %v", c.GetData())
	must(fromFile.Destroy())
	bytes, e := os.ReadFile(model("add"))
	must(e)
	c.ZeroContents()
	fromBytes, e := ort.NewAdvancedSessionWithONNXData(bytes, names, result, []ort.Value{a, b}, []ort.Value{c}, nil)
	must(e)
	must(fromBytes.Run())
	check(c.GetData()[0] == 11, "1+10 is %v", c.GetData())
	must(fromBytes.Destroy())
	named, e := ort.NewDynamicAdvancedSession(model("żółw 大"), names, result, nil)
	must(e)
	must(named.Destroy())
}

func identity[T ort.TensorData](name string, data ...T) {
	s := session("identity_"+name, []string{"x"}, []string{"y"})
	defer s.Destroy()
	in := tensor(data, int64(len(data)))
	defer in.Destroy()
	out := run(s, in)
	defer out.Destroy()
	got, right := out.(*ort.Tensor[T])
	check(right && reflect.DeepEqual(got.GetData(), data), "%s: %v became %v", name, data, out)
}

func types() {
	identity[float32]("float32", 1.5, -2, 3)
	identity[float64]("float64", 1.5, -2, 3)
	identity[int8]("int8", -128, 0, 127)
	identity[int16]("int16", -32768, 0, 32767)
	identity[int32]("int32", -2147483648, 0, 2147483647)
	identity[int64]("int64", -1<<63, 0, 1<<63-1)
	identity[uint8]("uint8", 0, 1, 255)
	identity[uint16]("uint16", 0, 1, 65535)
	identity[uint32]("uint32", 0, 1, 1<<32-1)
	identity[uint64]("uint64", 0, 1, 1<<64-1)
	identity[bool]("bool", true, false, true)
}

// The package has no outputs of these types of its own: the caller gives the room.
func customTypes() {
	for name, kind := range map[string]ort.TensorElementDataType{"float16": ort.TensorElementDataTypeFloat16, "bfloat16": ort.TensorElementDataTypeBFloat16} {
		in, e := ort.NewCustomDataTensor(ort.NewShape(2), []byte{0, 60, 0, 64}, kind)
		must(e)
		out, e := ort.NewCustomDataTensor(ort.NewShape(2), make([]byte, 4), kind)
		must(e)
		s := session("identity_"+name, []string{"x"}, []string{"y"})
		must(s.Run([]ort.Value{in}, []ort.Value{out}))
		check(reflect.DeepEqual(out.GetData(), in.GetData()), "%s became %v", name, out.GetData())
		must(s.Destroy())
		must(in.Destroy())
		must(out.Destroy())
	}
}

func text() {
	x, e := ort.NewStringTensor(ort.NewShape(3))
	must(e)
	defer x.Destroy()
	y, e := ort.NewStringTensor(ort.NewShape(3))
	must(e)
	defer y.Destroy()
	must(x.SetContents([]string{"one", "", "grün"}))
	must(y.SetContents([]string{"1", "", "?"}))
	must(y.SetElement(2, "3"))
	s := session("text", []string{"x", "y"}, []string{"z"})
	defer s.Destroy()
	out := run(s, x, y)
	defer out.Destroy()
	got, e := out.(*ort.StringTensor).GetContents()
	must(e)
	check(reflect.DeepEqual(got, []string{"one1", "", "grün3"}), "texts are %q", got)
	third, e := out.(*ort.StringTensor).GetElement(2)
	must(e)
	check(third == "grün3", "the third is %q", third)
	fails(x.SetContents([]string{"too few"}), "")
}

func sequences() {
	in := tensor([]float32{5, 6, 7}, 3)
	defer in.Destroy()
	split := session("split", []string{"x"}, []string{"s"})
	defer split.Destroy()
	sequence := run(split, in).(*ort.Sequence)
	items, e := sequence.GetValues()
	must(e)
	check(len(items) == 3, "%d items", len(items))
	check(items[2].(*ort.Tensor[float32]).GetData()[0] == 7, "the last is %v", items[2])
	join := session("join", []string{"s"}, []string{"y"})
	defer join.Destroy()
	made, e := ort.NewSequence([]ort.Value{in, in})
	must(e)
	joined := run(join, made)
	check(reflect.DeepEqual(joined.(*ort.Tensor[float32]).GetData(), []float32{5, 6, 7, 5, 6, 7}), "joined: %v", joined)
	must(joined.Destroy())
	must(made.Destroy())
	must(sequence.Destroy())
}

func maps() {
	in := tensor([]float32{1, 2, 3, 4, 5, 6}, 2, 3)
	defer in.Destroy()
	ids := session("ids", []string{"x"}, []string{"z"})
	defer ids.Destroy()
	rows := run(ids, in).(*ort.Sequence)
	defer rows.Destroy()
	items, e := rows.GetValues()
	must(e)
	keys, values, e := items[1].(*ort.Map).GetKeysAndValues()
	must(e)
	check(reflect.DeepEqual(keys.(*ort.Tensor[int64]).GetData(), []int64{10, 20, 30}), "keys: %v", keys)
	check(reflect.DeepEqual(values.(*ort.Tensor[float32]).GetData(), []float32{4, 5, 6}), "values: %v", values)
	lookup := session("lookup_ids", []string{"m"}, []string{"y"})
	defer lookup.Destroy()
	made, e := ort.NewMapFromGoMap(map[int64]float32{30: 0.5, 10: 2})
	must(e)
	defer made.Destroy()
	out := run(lookup, made)
	defer out.Destroy()
	check(reflect.DeepEqual(out.(*ort.Tensor[float32]).GetData(), []float32{2, 0, 0.5}), "looked up: %v", out)
	names := session("labels", []string{"x"}, []string{"z"})
	defer names.Destroy()
	labelled := run(names, in).(*ort.Sequence)
	defer labelled.Destroy()
	items, e = labelled.GetValues()
	must(e)
	keys, _, e = items[0].(*ort.Map).GetKeysAndValues()
	must(e)
	words, e := keys.(*ort.StringTensor).GetContents()
	must(e)
	check(reflect.DeepEqual(words, []string{"one", "three", "two"}), "keys: %q", words)
	_, e = ort.NewMap(in, in)
	fails(e, "")
}

func metadata() {
	about, e := ort.GetModelMetadata(model("add"))
	must(e)
	defer about.Destroy()
	for name, get := range map[string]func() (string, error){
		"kapell clients": about.GetProducerName, "addition": about.GetGraphName, "org.example": about.GetDomain, "adds two tensors": about.GetDescription} {
		got, e := get()
		must(e)
		check(got == name, "%q is %q", name, got)
	}
	version, e := about.GetVersion()
	must(e)
	check(version == 7, "the version is %d", version)
	value, there, e := about.LookupCustomMetadataMap("umlaut")
	must(e)
	check(there && value == "grün", "umlaut is %q", value)
	_, there, e = about.LookupCustomMetadataMap("nothing")
	must(e)
	check(!there, "a key that is not there was found")
	keys, e := about.GetCustomMetadataMapKeys()
	must(e)
	check(len(keys) == 3, "keys: %q", keys)
	inputs, outputs, e := ort.GetInputOutputInfo(model("matmul"))
	must(e)
	check(len(inputs) == 1 && len(outputs) == 1 && inputs[0].Name == "x", "inputs: %v", inputs)
	check(inputs[0].Dimensions.Equals(ort.NewShape(-1, 4)) && inputs[0].DataType == ort.TensorElementDataTypeFloat, "input: %v", inputs[0])
	_, outputs, e = ort.GetInputOutputInfo(model("labels"))
	must(e)
	check(outputs[0].OrtValueType == ort.ONNXTypeSequence, "output: %v", outputs[0])
}

func binding() {
	s := session("matmul", []string{"x"}, []string{"y"})
	defer s.Destroy()
	in, out := tensor([]float32{1, 0, 0, 1}, 1, 4), tensor([]float32{0, 0}, 1, 2)
	defer in.Destroy()
	defer out.Destroy()
	bound, e := s.CreateIoBinding()
	must(e)
	defer bound.Destroy()
	must(bound.BindInput("x", in))
	must(bound.BindOutput("y", out))
	must(s.RunWithBinding(bound))
	check(reflect.DeepEqual(out.GetData(), []float32{8, 10}), "bound: %v", out.GetData())
	names, e := bound.GetBoundOutputNames()
	must(e)
	check(reflect.DeepEqual(names, []string{"y"}), "names: %q", names)
	values, e := bound.GetBoundOutputValues()
	must(e)
	check(len(values) == 1 && values[0].GetShape().Equals(ort.NewShape(1, 2)), "values: %v", values)
	must(values[0].Destroy())
	fails(bound.BindInput("nothing", in), "nothing")
	bound.ClearBoundInputs()
	bound.ClearBoundOutputs()
	check(s.RunWithBinding(bound) != nil, "a run without inputs")
}

func badThings() {
	_, e := ort.NewDynamicAdvancedSession(model("no such file"), []string{"x"}, []string{"y"}, nil)
	fails(e, "no such file")
	_, e = ort.NewDynamicAdvancedSession(model("garbage"), []string{"x"}, []string{"y"}, nil)
	fails(e, "")
	_, e = ort.NewDynamicAdvancedSessionWithONNXData([]byte("this is no model"), []string{"x"}, []string{"y"}, nil)
	fails(e, "")
	in := tensor([]float32{1, 2, 3, 4}, 1, 4)
	defer in.Destroy()
	wrongName := session("matmul", []string{"nothing"}, []string{"y"})
	defer wrongName.Destroy()
	fails(wrongName.Run([]ort.Value{in}, []ort.Value{nil}), "nothing")
	wrongOutput := session("matmul", []string{"x"}, []string{"nothing"})
	defer wrongOutput.Destroy()
	fails(wrongOutput.Run([]ort.Value{in}, []ort.Value{nil}), "nothing")
	s := session("matmul", []string{"x"}, []string{"y"})
	defer s.Destroy()
	flat := tensor([]float32{1, 2, 3, 4}, 4)
	defer flat.Destroy()
	fails(s.Run([]ort.Value{flat}, []ort.Value{nil}), "x")
	wide := tensor([]float64{1, 2, 3, 4}, 1, 4)
	defer wide.Destroy()
	fails(s.Run([]ort.Value{wide}, []ort.Value{nil}), "double")
	options, e := ort.NewSessionOptions()
	must(e)
	defer options.Destroy()
	fails(options.AppendExecutionProvider("NoSuchProvider", nil), "NoSuchProvider")
	fails(ort.RegisterExecutionProviderLibrary("none", model("none")), "")
}

func terminated() {
	s := session("slow", []string{"count", "x"}, []string{"y"})
	defer s.Destroy()
	count, e := ort.NewScalar[int64](1 << 40)
	must(e)
	defer count.Destroy()
	x := tensor(make([]float32, 64*64), 64, 64)
	defer x.Destroy()
	options, e := ort.NewRunOptions()
	must(e)
	defer options.Destroy()
	go func() {
		time.Sleep(50 * time.Millisecond)
		options.Terminate()
	}()
	fails(s.RunWithOptions([]ort.Value{count, x}, []ort.Value{nil}, options), "terminate")
	two, e := ort.NewScalar[int64](2)
	must(e)
	defer two.Destroy()
	must(options.UnsetTerminate())
	outputs := []ort.Value{nil}
	must(s.RunWithOptions([]ort.Value{two, x}, outputs, options))
	must(outputs[0].Destroy())
}

func threads() {
	s := session("matmul", []string{"x"}, []string{"y"})
	defer s.Destroy()
	var all sync.WaitGroup
	wrong := make(chan error, 8)
	for i := range 8 {
		all.Add(1)
		go func() {
			defer all.Done()
			for j := range 100 {
				n := int64(1 + (i+j)%5)
				in, e := ort.NewTensor(ort.NewShape(n, 4), make([]float32, 4*n))
				if e != nil {
					wrong <- e
					return
				}
				for k := range in.GetData() {
					in.GetData()[k] = float32(j)
				}
				outputs := []ort.Value{nil}
				e = s.Run([]ort.Value{in}, outputs)
				if e == nil && outputs[0].(*ort.Tensor[float32]).GetData()[2*n-1] != float32(20*j) {
					e = errors.New("wrong numbers")
				}
				if e != nil {
					wrong <- e
					return
				}
				in.Destroy()
				outputs[0].Destroy()
			}
		}()
	}
	all.Wait()
	close(wrong)
	must(<-wrong)
}

func options() {
	made, e := ort.NewSessionOptions()
	must(e)
	defer made.Destroy()
	must(made.SetIntraOpNumThreads(2))
	must(made.SetInterOpNumThreads(1))
	must(made.SetCpuMemArena(false))
	must(made.SetMemPattern(false))
	must(made.SetExecutionMode(ort.ExecutionModeParallel))
	must(made.SetGraphOptimizationLevel(ort.GraphOptimizationLevelEnableAll))
	must(made.SetLogSeverityLevel(ort.LoggingLevelError))
	must(made.AddSessionConfigEntry("some.key", "some value"))
	value, e := made.GetSessionConfigEntry("some.key")
	must(e)
	check(value == "some value", "the entry is %q", value)
	has, e := made.HasSessionConfigEntry("another.key")
	must(e)
	check(!has, "an entry that was not added")
	prefix := filepath.Join(models, "go_profile")
	must(made.EnableProfiling(prefix))
	s, e := ort.NewDynamicAdvancedSession(model("matmul"), []string{"x"}, []string{"y"}, made)
	must(e)
	in := tensor([]float32{1, 0, 0, 1}, 1, 4)
	defer in.Destroy()
	must(run(s, in).Destroy())
	must(s.Destroy())
	written, e := filepath.Glob(prefix + "*.json")
	must(e)
	check(len(written) == 1, "profiles: %q", written)
	must(os.Remove(written[0]))
}

func sayLibrary() {
	maps, e := os.ReadFile("/proc/self/maps")
	must(e)
	for _, line := range strings.Split(string(maps), "\n") {
		if strings.Contains(line, "libonnxruntime.so") {
			fmt.Printf("library %s\n", line[strings.Index(line, "/"):])
			return
		}
	}
}

func main() {
	models = os.Args[2]
	ort.SetSharedLibraryPath(os.Args[1])
	must(ort.InitializeEnvironment(ort.WithLogLevelFatal()))
	check(strings.HasPrefix(ort.GetVersion(), "1."), "the version is %q", ort.GetVersion())
	sayLibrary()
	tests := []struct {
		name string
		run  func()
	}{{"addition", addition}, {"types", types}, {"custom_types", customTypes}, {"text", text}, {"sequences", sequences}, {"maps", maps},
		{"metadata", metadata}, {"binding", binding}, {"bad_things", badThings}, {"terminated", terminated}, {"threads", threads}, {"options", options}}
	for _, test := range tests {
		func() {
			defer func() {
				if what := recover(); what != nil {
					fmt.Printf("bad %s: %s\n", test.name, strings.ReplaceAll(fmt.Sprint(what), "\n", " "))
				} else {
					fmt.Printf("ok %s\n", test.name)
				}
			}()
			test.run()
		}()
	}
	must(ort.DestroyEnvironment())
	fmt.Printf("done %d\n", len(tests))
}
