"""Bytes, cycles and collectives of programs that libtpu compiled."""

import pytest

from inception_jax.aot import hlo_costs
from inception_jax.aot.hlo_text import Program

# Excerpts of steps that libtpu compiled for v5e:2x2 and v5e:2x4, without most
# attributes. Images are bf16[64,64,64,64] with channels padded to 128:
# 67,108,864 bytes each.
IMAGES = 64 * 64 * 64 * 128 * 2
COMPILED = """\
HloModule jit_step, is_scheduled=true

FileNames
1 "step.py"

%fused_computation.5 (param_0.58: bf16[3,64,64,64,64], param_1.58: s32[]) -> bf16[64,64,64,64] {
  %param_0.58 = bf16[3,64,64,64,64]{4,1,3,2,0:T(8,128)(2,1)} parameter(0)
  %param_1.58 = s32[]{:T(128)S(6)} parameter(1)
  %constant.180 = s32[]{:T(128)} constant(0)
  %dynamic-slice.30 = bf16[1,64,64,64,64]{4,1,3,2,0:T(8,128)(2,1)} dynamic-slice(%param_0.58, %param_1.58, %constant.180, %constant.180, %constant.180, /*index=5*/%constant.180), dynamic_slice_sizes={1,64,64,64,64}
  ROOT %bitcast.35 = bf16[64,64,64,64]{3,0,2,1:T(8,128)(2,1)} bitcast(%dynamic-slice.30)
}

%fused_computation.1 (param_0.54: bf16[3,64,64,64,64], param_1.54: s32[], param_2.38: bf16[64,64,64,64]) -> bf16[3,64,64,64,64] {
  %param_0.54 = bf16[3,64,64,64,64]{4,1,3,2,0:T(8,128)(2,1)} parameter(0)
  %param_2.38 = bf16[64,64,64,64]{3,0,2,1:T(8,128)(2,1)S(1)} parameter(2)
  %bitcast.31 = bf16[1,64,64,64,64]{4,1,3,2,0:T(8,128)(2,1)} bitcast(%param_2.38)
  %param_1.54 = s32[]{:T(128)S(6)} parameter(1)
  %constant.177 = s32[]{:T(128)} constant(0)
  ROOT %dynamic-update-slice.10 = bf16[3,64,64,64,64]{4,1,3,2,0:T(8,128)(2,1)} dynamic-update-slice(%param_0.54, %bitcast.31, %param_1.54, %constant.177, %constant.177, /*index=5*/%constant.177, %constant.177)
}

%region_7.8 (reduce_sum.0: f32[], reduce_sum.1: f32[]) -> f32[] {
  %reduce_sum.0 = f32[]{:T(128)} parameter(0)
  %reduce_sum.1 = f32[]{:T(128)} parameter(1)
  ROOT %add.12 = f32[]{:T(128)} add(%reduce_sum.0, %reduce_sum.1)
}

%async_collective (param.1: f32[96]) -> f32[96] {
  %param.1 = f32[96]{0:T(128)S(1)} parameter(0)
  ROOT %all-reduce.7 = f32[96]{0:T(128)S(1)} all-reduce(%param.1), to_apply=%region_7.8
}

%wide.region_0.1 (wide.param.0: (s32[], bf16[64,64,64,64], bf16[3,64,64,64,64])) -> (s32[], bf16[64,64,64,64], bf16[3,64,64,64,64]) {
  %wide.param.0 = (s32[]{:T(128)S(6)}, bf16[64,64,64,64]{3,0,2,1:T(8,128)(2,1)}, bf16[3,64,64,64,64]{4,1,3,2,0:T(8,128)(2,1)}) parameter(0)
  %get-tuple-element.305 = s32[]{:T(128)S(6)} get-tuple-element(%wide.param.0), index=0
  %get-tuple-element.306 = bf16[64,64,64,64]{3,0,2,1:T(8,128)(2,1)} get-tuple-element(%wide.param.0), index=1
  %copy.36 = bf16[64,64,64,64]{3,0,2,1:T(8,128)(2,1)S(1)} copy(%get-tuple-element.306), backend_config={"flag_configs":[]}
  %get-tuple-element.307 = bf16[3,64,64,64,64]{4,1,3,2,0:T(8,128)(2,1)} get-tuple-element(%wide.param.0), index=2
  %update_fusion.4 = bf16[3,64,64,64,64]{4,1,3,2,0:T(8,128)(2,1)} fusion(%get-tuple-element.307, %get-tuple-element.305, %copy.36), kind=kLoop, calls=%fused_computation.1, metadata={op_name="jit(step)/jvp(Inception)/while/body/dynamic_update_slice" stack_frame_id=24}, backend_config={"window_config":{"estimated_cycles":"1142208","iteration_bounds":["1"]}}
  %slice_fusion = bf16[64,64,64,64]{3,0,2,1:T(8,128)(2,1)} fusion(%update_fusion.4, %get-tuple-element.305), kind=kLoop, calls=%fused_computation.5, metadata={op_name="jit(step)/transpose(jvp(Inception))/conv_1a/conv/cond/branch_0_fun/conv_general_dilated" stack_frame_id=24}, backend_config={"window_config":{"estimated_cycles":"1000"}}
  ROOT %tuple.65 = (s32[]{:T(128)S(6)}, bf16[64,64,64,64]{3,0,2,1:T(8,128)(2,1)}, bf16[3,64,64,64,64]{4,1,3,2,0:T(8,128)(2,1)}) tuple(%get-tuple-element.305, %slice_fusion, %update_fusion.4)
}

%wide.region_1.2 (wide.param.3: (s32[], bf16[64,64,64,64], bf16[3,64,64,64,64])) -> pred[] {
  %constant.94 = s32[]{:T(128)} constant(3)
  %wide.param.3 = (s32[]{:T(128)S(6)}, bf16[64,64,64,64]{3,0,2,1:T(8,128)(2,1)}, bf16[3,64,64,64,64]{4,1,3,2,0:T(8,128)(2,1)}) parameter(0)
  %get-tuple-element.238 = s32[]{:T(128)S(6)} get-tuple-element(%wide.param.3), index=0
  ROOT %lt.11 = pred[]{:T(512)} compare(%get-tuple-element.238, %constant.94), direction=LT, metadata={op_name="jit(step)/jvp(Inception)/while/cond/lt" stack_frame_id=20}
}

ENTRY %main.9_spmd (param.6: f32[512,1000], param.7: bf16[64,64,64,64]) -> bf16[64,64,64,64] {
  %param.6 = f32[512,1000]{0,1:T(8,128)} parameter(0), sharding={replicated}, metadata={op_name="state.params[\\'head\\'][\\'dense\\'][\\'kernel\\']"}
  %param.7 = bf16[64,64,64,64]{3,0,2,1:T(8,128)(2,1)} parameter(1)
  %constant.1 = s32[]{:T(128)} constant(0)
  %custom-call.1 = bf16[3,64,64,64,64]{4,1,3,2,0:T(8,128)(2,1)} custom-call(), custom_call_target="AllocateBuffer"
  %slice-start = ((f32[512,1000]{0,1:T(8,128)}), f32[512,256]{0,1:T(8,128)S(1)}, s32[]{:S(2)}) slice-start(%param.6), slice={[0:512], [0:256]}
  %slice-done = f32[512,256]{0,1:T(8,128)S(1)} slice-done(%slice-start)
  %copy-start.87 = (f32[512,1000]{0,1:T(8,128)S(1)}, f32[512,1000]{0,1:T(8,128)}, u32[]{:S(2)}) copy-start(%param.6)
  %copy-done.87 = f32[512,1000]{0,1:T(8,128)S(1)} copy-done(%copy-start.87)
  %tuple.70 = (s32[]{:T(128)}, bf16[64,64,64,64]{3,0,2,1:T(8,128)(2,1)}, bf16[3,64,64,64,64]{4,1,3,2,0:T(8,128)(2,1)}) tuple(%constant.1, %param.7, %custom-call.1)
  %while.31 = (s32[]{:T(128)}, bf16[64,64,64,64]{3,0,2,1:T(8,128)(2,1)}, bf16[3,64,64,64,64]{4,1,3,2,0:T(8,128)(2,1)}) while(%tuple.70), condition=%wide.region_1.2, body=%wide.region_0.1, metadata={op_name="jit(step)/jvp(Inception)/while" stack_frame_id=18}
  %reduce.9 = (f32[96]{0:T(128)S(1)}, f32[80]{0:T(128)S(1)}) fusion(%copy-done.87, %slice-done), kind=kLoop, calls=%region_7.8, metadata={op_name="jit(step)/reduce_sum" stack_frame_id=1}, backend_config={"window_config":{"estimated_cycles":"500"}}
  %get-tuple-element.1 = f32[96]{0:T(128)S(1)} get-tuple-element(%reduce.9), index=0
  %get-tuple-element.2 = f32[80]{0:T(128)S(1)} get-tuple-element(%reduce.9), index=1
  %all-reduce.488 = (f32[96]{0:T(128)S(1)}, f32[80]{0:T(128)S(1)}) all-reduce(%get-tuple-element.1, %get-tuple-element.2), channel_id=3, to_apply=%region_7.8
  %all-reduce-start.1 = f32[96]{0:T(128)S(1)} all-reduce-start(%get-tuple-element.1), channel_id=4, to_apply=%region_7.8
  %all-reduce-done.1 = f32[96]{0:T(128)S(1)} all-reduce-done(%all-reduce-start.1)
  %async_fusion = f32[96]{0:T(128)S(1)} fusion(%all-reduce-done.1), kind=kCustom, calls=%async_collective
  ROOT %get-tuple-element.9 = bf16[64,64,64,64]{3,0,2,1:T(8,128)(2,1)} get-tuple-element(%while.31), index=1
}
"""  # noqa: E501


@pytest.fixture(scope='module')
def program():
  return Program(COMPILED)


def test_cycles_are_multiplied_by_trip_counts(program):
  assert hlo_costs.estimated_cycles(program) == 500 + 3 * (1142208 + 1000)
  assert list(hlo_costs.cycles_by_layer(program).items()) == [
    (('while/body', 'dynamic_update_slice', 'forward'), 3 * 1142208),
    (('conv_1a/conv', 'conv_general_dilated', 'backward'), 3000),
    (('', 'reduce_sum', ''), 500),
  ]


def test_hbm_bytes_count_only_transfers_to_and_from_hbm(program):
  head = 512 * 1000 * 4
  # Loop: a copy to VMEM, an update of a slice in place, a slice read and
  # written. Outside: a quarter of the head, then all of it.
  loop = IMAGES + IMAGES + 2 * IMAGES
  expected = 3 * loop + 512 * 256 * 4 + head
  assert hlo_costs.hbm_bytes(program) == expected
  assert hlo_costs.without_estimate(program) == {
    'copy': {'count': 3, 'hbm_bytes': 3 * IMAGES},
    'slice-start': {'count': 1, 'hbm_bytes': 512 * 256 * 4},
    'copy-start': {'count': 1, 'hbm_bytes': head},
    'all-reduce': {'count': 1, 'hbm_bytes': 0},
    'all-reduce-start': {'count': 1, 'hbm_bytes': 0},
    'fusion': {'count': 1, 'hbm_bytes': 0},
  }


def test_combined_asynchronous_and_fused_collectives_count(program):
  assert hlo_costs.collectives(program) == {
    'all-reduce': {'count': 3, 'bytes': 4 * (96 + 80 + 96 + 96)}
  }
