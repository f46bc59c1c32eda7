//! client LIBRARY MODELS: what the crate `ort` does with the library, said as "ok NAME" or "bad NAME: what", then "done N".

use std::collections::HashMap;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use half::{bf16, f16};
use ort::editor::{Graph, Model, Node, ONNX_DOMAIN, Opset};
use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::operator::{BoxedKernel, ComputeContext, KernelContext, Operator, OperatorDomain, OperatorInput, OperatorOutput};
use ort::session::builder::{GraphOptimizationLevel, PrepackedWeights};
use ort::session::{RunOptions, Session};
use ort::value::{DynMapValueType, DynTensor, DynTensorValueType, Map, Outlet, PrimitiveTensorElementType, Sequence, Shape, SymbolicDimensions, Tensor, TensorElementType, TensorRef, ValueType};
use ort::{ErrorCode, inputs};

type Outcome = Result<(), Box<dyn std::error::Error>>;

struct World {
    env: Environment,
    models: PathBuf,
}

impl World {
    fn model(&self, name: &str) -> PathBuf {
        self.models.join(format!("{name}.onnx"))
    }

    fn open(&self, name: &str) -> ort::Result<Session> {
        Session::builder(&self.env)?.commit_from_file(self.model(name))
    }
}

fn floats(dims: &[i64], data: &[f32]) -> Tensor<f32> {
    Tensor::from_array((dims.to_vec(), data.to_vec())).expect("a tensor")
}

#[track_caller]
fn fails<T>(result: ort::Result<T>, code: ErrorCode, text: &str) {
    match result {
        Ok(_) => panic!("no error, where {code:?} with '{text}' was expected"),
        Err(error) => assert!(error.code() == code && error.message().contains(text), "{error:?} is not {code:?} with '{text}'"),
    }
}

fn sum(session: &mut Session) -> Outcome {
    let (a, b) = (floats(&[2, 3], &[1., 2., 3., 4., 5., 6.]), floats(&[2, 3], &[10., 20., 30., 40., 50., 60.]));
    let outputs = session.run(inputs! { "a" => a, "b" => b })?;
    assert_eq!(outputs["c"].try_extract_tensor::<f32>()?.1, [11., 22., 33., 44., 55., 66.]);
    Ok(())
}

fn addition(w: &World) -> Outcome {
    sum(&mut w.open("add")?)?;
    sum(&mut w.open("żółw 大")?)?;
    let bytes = std::fs::read(w.model("add"))?;
    sum(&mut Session::builder(&w.env)?.commit_from_memory(&bytes)?)?;
    let mut session = w.open("matmul")?;
    let data = [1f32, 0., 0., 1.];
    let outputs = session.run(inputs![TensorRef::from_array_view(([1usize, 4], &data[..]))?])?; // borrowed, by place
    assert_eq!(outputs[0].try_extract_tensor::<f32>()?.1, [8., 10.]);
    Ok(())
}

fn identity<T: PrimitiveTensorElementType + Debug + PartialEq + Clone + 'static>(w: &World, name: &str, data: [T; 3]) -> Outcome {
    let mut session = w.open(&format!("identity_{name}"))?;
    assert_eq!(session.inputs()[0].dtype().tensor_type(), Some(T::into_tensor_element_type()));
    let outputs = session.run(inputs![Tensor::from_array(([3usize], data.to_vec()))?])?;
    assert_eq!(outputs[0].try_extract_tensor::<T>()?.1, data);
    Ok(())
}

fn types(w: &World) -> Outcome {
    identity::<f32>(w, "float32", [1.5, -2., 3.])?;
    identity::<f64>(w, "float64", [1.5, -2., 3.])?;
    identity::<f16>(w, "float16", [f16::ONE, f16::MIN, f16::MAX])?;
    identity::<bf16>(w, "bfloat16", [bf16::ONE, bf16::MIN, bf16::MAX])?;
    identity::<i8>(w, "int8", [i8::MIN, 0, i8::MAX])?;
    identity::<i16>(w, "int16", [i16::MIN, 0, i16::MAX])?;
    identity::<i32>(w, "int32", [i32::MIN, 0, i32::MAX])?;
    identity::<i64>(w, "int64", [i64::MIN, 0, i64::MAX])?;
    identity::<u8>(w, "uint8", [0, 1, u8::MAX])?;
    identity::<u16>(w, "uint16", [0, 1, u16::MAX])?;
    identity::<u32>(w, "uint32", [0, 1, u32::MAX])?;
    identity::<u64>(w, "uint64", [0, 1, u64::MAX])?;
    identity::<bool>(w, "bool", [true, false, true])
}

fn text(w: &World) -> Outcome {
    let mut session = w.open("text")?;
    let x = Tensor::from_string_array(([3usize], &["one", "", "grün"][..]))?;
    let y = Tensor::from_string_array(([3usize], &["1", "", "3"][..]))?;
    let outputs = session.run(inputs! { "x" => x, "y" => y })?;
    let (shape, words) = outputs["z"].try_extract_strings()?;
    assert_eq!((&**shape, words), (&[3i64][..], vec!["one1".to_string(), String::new(), "grün3".to_string()]));
    Ok(())
}

fn sequences(w: &World) -> Outcome {
    let mut split = w.open("split")?;
    assert!(split.outputs()[0].dtype().is_sequence());
    let outputs = split.run(inputs![floats(&[3], &[5., 6., 7.])])?;
    let items = outputs[0].view().downcast::<ort::value::DynSequenceValueType>()?.try_extract_sequence::<DynTensorValueType>()?;
    assert_eq!(items.iter().map(|i| i.try_extract_tensor::<f32>().unwrap().1[0]).collect::<Vec<_>>(), [5., 6., 7.]);
    let made = Sequence::new([floats(&[2], &[1., 2.]), floats(&[1], &[3.])])?;
    assert_eq!(made.len(), 2);
    let mut join = w.open("join")?;
    let outputs = join.run(inputs![made])?;
    assert_eq!(outputs[0].try_extract_tensor::<f32>()?.1, [1., 2., 3.]);
    Ok(())
}

fn maps(w: &World) -> Outcome {
    let mut labels = w.open("labels")?;
    let outputs = labels.run(inputs![floats(&[2, 3], &[1., 2., 3., 4., 5., 6.])])?;
    let rows = outputs[0].view().downcast::<ort::value::DynSequenceValueType>()?.try_extract_sequence::<DynMapValueType>()?;
    let want = HashMap::from([("one".to_string(), 4f32), ("two".to_string(), 5.), ("three".to_string(), 6.)]);
    assert_eq!(rows[1].try_extract_map::<String, f32>()?, want);
    let mut lookup = w.open("lookup")?;
    let outputs = lookup.run(inputs![Map::<String, f32>::new([("three".to_string(), 0.5), ("one".to_string(), 2.)])?])?;
    assert_eq!(outputs[0].try_extract_tensor::<f32>()?.1, [2., 0., 0.5]);
    let mut ids = w.open("lookup_ids")?;
    let outputs = ids.run(inputs![Map::<i64, f32>::new([(20, 0.5), (10, 2.)])?])?;
    assert_eq!(outputs[0].try_extract_tensor::<f32>()?.1, [2., 0.5, 0.]);
    Ok(())
}

fn metadata(w: &World) -> Outcome {
    let session = w.open("add")?;
    let about = session.metadata()?;
    assert_eq!(about.producer().as_deref(), Some("kapell clients"));
    assert_eq!(about.name().as_deref(), Some("addition"));
    assert_eq!(about.domain().as_deref(), Some("org.example"));
    assert_eq!(about.description().as_deref(), Some("adds two tensors"));
    assert_eq!(about.graph_description().as_deref(), Some("one node"));
    assert_eq!(about.version(), Some(7));
    assert_eq!(about.custom("umlaut").as_deref(), Some("grün"));
    assert_eq!(about.custom("nothing"), None);
    let mut keys = about.custom_keys()?;
    keys.sort();
    assert_eq!(keys, ["author", "empty", "umlaut"]);
    let other = w.open("matmul")?;
    let input = other.inputs()[0].dtype();
    assert_eq!(&**input.tensor_shape().unwrap(), &[-1, 4]);
    match input {
        ValueType::Tensor { dimension_symbols, .. } => assert_eq!(dimension_symbols[0], "batch"),
        other => panic!("{other:?}"),
    }
    let session = w.open("defaults")?;
    let given = session.overridable_initializers();
    assert_eq!(given.iter().map(|i| i.name()).collect::<Vec<_>>(), ["scale"]);
    Ok(())
}

fn binding(w: &World) -> Outcome {
    let mut session = w.open("matmul")?;
    let cpu = MemoryInfo::new(AllocationDevice::CPU, 0, AllocatorType::Device, MemoryType::Default)?;
    let mut bound = session.create_binding()?;
    bound.bind_input("x", &floats(&[1, 4], &[1., 0., 0., 1.]))?;
    bound.bind_output("y", Tensor::<f32>::new(&Allocator::default(), [1i64, 2])?)?;
    bound.synchronize()?;
    assert_eq!(session.run_binding(&bound)?["y"].try_extract_tensor::<f32>()?.1, [8., 10.]);
    bound.clear_outputs();
    bound.bind_output_to_device("y", &cpu)?;
    assert_eq!(session.run_binding(&bound)?["y"].try_extract_tensor::<f32>()?.1, [8., 10.]);
    fails(bound.bind_input("nothing", &floats(&[1], &[1.])), ErrorCode::GenericFailure, "nothing");
    bound.clear();
    bound.bind_output_to_device("y", &cpu)?;
    assert!(session.run_binding(&bound).is_err()); // no input
    Ok(())
}

fn bad_things(w: &World) -> Outcome {
    fails(w.open("no such file"), ErrorCode::NoSuchFile, "no such file");
    fails(w.open("garbage"), ErrorCode::InvalidProtobuf, "garbage");
    fails(w.open("unknown"), ErrorCode::InvalidGraph, "NoSuchOperator");
    fails(Session::builder(&w.env)?.commit_from_memory(b"this is no model"), ErrorCode::InvalidProtobuf, "");
    let mut session = w.open("matmul")?;
    fails(session.run(inputs![floats(&[4], &[0.; 4])]), ErrorCode::InvalidArgument, "x");
    fails(session.run(inputs![floats(&[1, 3], &[0.; 3])]), ErrorCode::InvalidArgument, "x");
    fails(session.run(inputs![Tensor::from_array(([1usize, 4], vec![0f64; 4]))?]), ErrorCode::InvalidArgument, "double");
    fails(session.run(inputs! { "nothing" => floats(&[1, 4], &[0.; 4]) }), ErrorCode::InvalidArgument, "nothing");
    let mut gather = w.open("gather")?;
    let at = Tensor::from_array(([1usize], vec![9i64]))?;
    fails(gather.run(inputs! { "x" => floats(&[4], &[0.; 4]), "at" => at }), ErrorCode::InvalidArgument, "9");
    assert!(w.env.register_ep_library("none", w.model("none")).is_err());
    Ok(())
}

fn terminated(w: &World) -> Outcome {
    let mut session = w.open("slow")?;
    let mut options = RunOptions::new()?.with_tag("a tag")?;
    assert_eq!(options.tag()?, "a tag");
    options.set("some.key", "some value")?;
    let options = Arc::new(options);
    let other = Arc::clone(&options);
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        other.terminate()
    });
    let run = |session: &mut Session, count: i64| -> ort::Result<()> {
        let count = Tensor::from_array((Vec::<i64>::new(), vec![count]))?;
        session.run_with_options(inputs! { "count" => count, "x" => floats(&[64, 64], &[0.; 4096]) }, &*options).map(|_| ())
    };
    fails(run(&mut session, 1 << 40), ErrorCode::GenericFailure, "terminate");
    thread.join().unwrap()?;
    options.unterminate()?;
    run(&mut session, 2)?;
    Ok(())
}

fn run_often(w: &World) -> Outcome {
    let mut session = w.open("matmul")?;
    for i in 0..100 {
        let rows = 1 + i % 5;
        let outputs = session.run(inputs![floats(&[rows, 4], &vec![i as f32; 4 * rows as usize])])?;
        assert_eq!(outputs[0].try_extract_tensor::<f32>()?.1[2 * rows as usize - 1], 20. * i as f32);
    }
    Ok(())
}

fn threads(w: &World) -> Outcome {
    std::thread::scope(|scope| {
        for handle in (0..8).map(|_| scope.spawn(|| run_often(w).unwrap())).collect::<Vec<_>>() {
            handle.join().unwrap();
        }
    });
    Ok(())
}

fn options(w: &World) -> Outcome {
    let prefix = w.models.join("rust_profile");
    let packed = PrepackedWeights::new();
    let mut session = Session::builder(&w.env)?
        .with_intra_threads(2)?
        .with_inter_threads(1)?
        .with_parallel_execution(true)?
        .with_optimization_level(GraphOptimizationLevel::Level2)?
        .with_memory_pattern(false)?
        .with_deterministic_compute(true)?
        .with_log_id("a session")?
        .with_log_level(LogLevel::Error)?
        .with_dimension_override("batch", 3)?
        .with_config_entry("some.key", "some value")?
        .with_prepacked_weights(&packed)?
        .with_execution_providers([ort::ep::CPU::default().with_arena_allocator(true).build()])?
        .with_profiling(&prefix)?
        .commit_from_file(w.model("matmul"))?;
    assert_eq!(&**session.inputs()[0].dtype().tensor_shape().unwrap(), &[3, 4]);
    session.run(inputs![floats(&[3, 4], &[1.; 12])])?;
    assert!(session.profiling_start_ns()? > 0);
    let written = session.end_profiling()?;
    assert!(std::fs::metadata(&written)?.len() > 0);
    std::fs::remove_file(written)?;
    let cuda = Session::builder(&w.env)?.with_execution_providers([ort::ep::CUDA::default().build().error_on_failure()]);
    assert!(cuda.is_err());
    let falls_back = Session::builder(&w.env)?.with_execution_providers([ort::ep::CUDA::default().build()])?.commit_from_file(w.model("add"));
    sum(&mut falls_back?)
}

fn given_weights(w: &World) -> Outcome {
    let weights = Tensor::from_array(([300usize], (0..300).map(|i| 2. * i as f32).collect::<Vec<_>>()))?;
    let bytes = std::fs::read(w.model("external"))?;
    let mut session = Session::builder(&w.env)?.with_external_initializer("w", weights.into_dyn())?.commit_from_memory(&bytes)?;
    assert_eq!(session.run(inputs![floats(&[300], &[1.; 300])])?[0].try_extract_tensor::<f32>()?.1[299], 599.);
    let file: Arc<[u8]> = std::fs::read(w.models.join("external.bin"))?.into();
    let mut session = Session::builder(&w.env)?.with_external_initializer_file_in_memory("external.bin", file)?.commit_from_memory(&bytes)?;
    assert_eq!(session.run(inputs![floats(&[300], &[1.; 300])])?[0].try_extract_tensor::<f32>()?.1[299], 300.);
    let bias = floats(&[2], &[100., 200.]);
    let mut session = Session::builder(&w.env)?.with_initializer("bias", bias.into_dyn())?.commit_from_file(w.model("defaults"))?;
    assert_eq!(session.run(inputs![floats(&[2], &[1., 2.])])?[0].try_extract_tensor::<f32>()?.1, [102., 204.]);
    Ok(())
}

fn values(_: &World) -> Outcome {
    let mut tensor = Tensor::<f32>::new(&Allocator::default(), [2i64, 2])?;
    tensor.extract_tensor_mut().1.copy_from_slice(&[1., 2., 3., 4.]);
    tensor[[1, 1]] = 9.;
    assert_eq!(tensor[[1, 1]], 9.);
    let dynamic: DynTensor = tensor.upcast();
    assert_eq!((dynamic.shape().num_elements(), *dynamic.data_type()), (4, TensorElementType::Float32));
    assert!(dynamic.try_extract_tensor::<i64>().is_err());
    assert!(dynamic.memory_info().is_cpu_accessible());
    let allocator = Allocator::default();
    let block = allocator.alloc::<u8>(100)?;
    assert!(!block.as_ptr().is_null());
    Ok(())
}

fn clones(_: &World) -> Outcome {
    let mut tensor = floats(&[2], &[1., 2.]);
    let copy = tensor.clone();
    tensor[[1]] = 9.;
    assert_eq!((tensor[[1]], copy[[1]]), (9., 2.));
    Ok(())
}

fn opset(w: &World) -> Outcome {
    assert_eq!(w.open("add")?.opset_for_domain(""), Some(21));
    Ok(())
}

fn editor(w: &World) -> Outcome {
    let of_two = |name: &str| Outlet::new(name, ValueType::Tensor { ty: TensorElementType::Float32, shape: Shape::new([2]), dimension_symbols: SymbolicDimensions::empty(1) });
    let mut graph = Graph::new()?;
    graph.set_inputs([of_two("x")])?;
    graph.set_outputs([of_two("y")])?;
    graph.add_initializer("w", {
        let mut weight = Tensor::<f32>::new(&Allocator::default(), [2i64])?;
        weight.extract_tensor_mut().1.copy_from_slice(&[3., 4.]);
        weight
    }, false)?;
    graph.add_node(Node::new("Mul", ONNX_DOMAIN, "product", ["x", "w"], ["y"], [])?)?;
    let mut model = Model::new([Opset::new(ONNX_DOMAIN, 21)?])?;
    model.set_graph(graph)?;
    let mut session = model.into_session(&Session::builder(&w.env)?)?;
    assert_eq!(session.run(inputs![floats(&[2], &[1., 2.])])?["y"].try_extract_tensor::<f32>()?.1, [3., 8.]);
    Ok(())
}

/// client.Scale: y = x * factor.
struct Scale;

impl Operator for Scale {
    type Kernel<'attr> = BoxedKernel<'attr>;

    fn name(&self) -> &str {
        "Scale"
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [OperatorInput::required(TensorElementType::Float32)]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(TensorElementType::Float32)]
    }

    fn create_kernel<'attr>(&self, info: &KernelContext<'attr>) -> ort::Result<Self::Kernel<'attr>> {
        let factor = info.get::<f32>("factor").ok_or_else(|| ort::Error::new("no factor"))?;
        Ok(Box::new(move |ctx: &ComputeContext| {
            let x = ctx.input(0)?.ok_or_else(|| ort::Error::new("no input"))?;
            let (shape, x) = x.try_extract_tensor::<f32>()?;
            let mut y = ctx.output(0, shape.to_vec())?.ok_or_else(|| ort::Error::new("no output"))?;
            for (to, from) in y.try_extract_tensor_mut::<f32>()?.1.iter_mut().zip(x) {
                if *from == 99. {
                    return Err(ort::Error::new("99 is too much"));
                }
                *to = from * factor;
            }
            Ok(())
        }))
    }
}

fn operators(w: &World) -> Outcome {
    let domain = OperatorDomain::new("client")?.add(Scale)?;
    let mut session = Session::builder(&w.env)?.with_operators(domain)?.commit_from_file(w.model("scale"))?;
    assert_eq!(session.run(inputs![floats(&[2], &[1., 2.])])?[0].try_extract_tensor::<f32>()?.1, [4., 8.]);
    fails(session.run(inputs![floats(&[1], &[-99.])]), ErrorCode::GenericFailure, "99 is too much");
    assert!(w.open("scale").is_err());
    Ok(())
}

fn devices(w: &World) -> Outcome {
    let cpus: Vec<_> = w.env.devices().filter(|d| d.ep().is_ok_and(|ep| ep == "CPUExecutionProvider")).collect();
    assert!(!cpus.is_empty());
    let mut session = Session::builder(&w.env)?.with_devices(w.env.devices().filter(|d| d.ep().is_ok_and(|ep| ep == "CPUExecutionProvider")), None)?.commit_from_file(w.model("add"))?;
    sum(&mut session)
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let env = ort::init_from(&arguments[1]).expect("the library").with_name("client").build().expect("an environment");
    env.set_log_level(LogLevel::Fatal);
    let world = World { env, models: PathBuf::from(&arguments[2]) };
    assert!(!ort::info().is_empty());
    let mapped = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    if let Some(line) = mapped.lines().find(|line| line.contains("libonnxruntime.so")) {
        println!("library {}", &line[line.find('/').unwrap_or(0)..]);
    }
    std::panic::set_hook(Box::new(|_| ()));
    let tests: [(&str, fn(&World) -> Outcome); 19] = [
        ("addition", addition), ("types", types), ("text", text), ("sequences", sequences), ("maps", maps), ("metadata", metadata),
        ("binding", binding), ("bad_things", bad_things), ("terminated", terminated), ("threads", threads), ("options", options),
        ("given_weights", given_weights), ("values", values), ("clones", clones), ("opset", opset), ("editor", editor), ("operators", operators), ("devices", devices), ("again", addition),
    ];
    for (name, test) in tests {
        let said = match catch_unwind(AssertUnwindSafe(|| test(&world))) {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(panic) => Some(panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string())).unwrap_or_default()),
        };
        match said {
            None => println!("ok {name}"),
            Some(what) => println!("bad {name}: {}", what.replace('\n', " ")),
        }
    }
    println!("done {}", tests.len());
}
