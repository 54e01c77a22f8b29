/* Saved fastnn models in C. Written by cbindgen from rust/fastnn-capi/src; do not edit. */

#ifndef FASTNN_H
#define FASTNN_H

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

/*
 The most axes a tensor has.
 */
#define FASTNN_MAX_RANK 8

/*
 How a call ended. `fastnn_last_error` has the message of a failure.
 */
typedef enum fastnn_status {
  /*
   It did what it was asked.
   */
  FASTNN_OK = 0,
  /*
   A pointer is null, not aligned for its type, or a text is no UTF-8.
   */
  FASTNN_BAD_POINTER = 1,
  /*
   Sizes do not fit the model or each other.
   */
  FASTNN_BAD_SHAPE = 2,
  /*
   Values are not what the model takes.
   */
  FASTNN_BAD_DATA = 3,
  /*
   The file is damaged, foreign, or holds no inference graph.
   */
  FASTNN_BAD_FILE = 4,
  /*
   The file cannot be read.
   */
  FASTNN_IO = 5,
  /*
   There is not enough memory.
   */
  FASTNN_NO_MEMORY = 6,
  /*
   A bug of fastnn.
   */
  FASTNN_INTERNAL = 7,
} fastnn_status;

/*
 The type of the numbers of an input or output. Memory for int32 holds `int32_t`; all other types
 are given and taken as floats, truth values as 0 and 1.
 */
typedef enum fastnn_type {
  /*
   `float`.
   */
  FASTNN_FLOAT32 = 0,
  /*
   `int32_t`.
   */
  FASTNN_INT32 = 1,
  /*
   Another one, given and taken as floats.
   */
  FASTNN_OTHER = 2,
} fastnn_type;

/*
 A loaded model. Any number of threads may use it at once.
 */
typedef struct fastnn_model fastnn_model;

/*
 What an input takes or an output gives.
 */
typedef struct fastnn_port {
  /*
   Its name; it lives as long as the model. Outputs have none: an empty text.
   */
  const char *name;
  /*
   The type.
   */
  enum fastnn_type dtype;
  /*
   The number of axes.
   */
  size_t rank;
  /*
   The sizes; -1 is open, as the first one, the rows.
   */
  int64_t shape[FASTNN_MAX_RANK];
} fastnn_port;

/*
 An array that is handed to a model.
 */
typedef struct fastnn_array {
  /*
   `float` or `int32_t`, row by row.
   */
  const void *data;
  /*
   `FASTNN_FLOAT32` or `FASTNN_INT32`: what `data` holds. A number, since C may write any.
   */
  uint32_t dtype;
  /*
   The number of axes, at most 8.
   */
  size_t rank;
  /*
   `rank` sizes.
   */
  const size_t *shape;
} fastnn_array;

/*
 Memory for an output.
 */
typedef struct fastnn_output {
  /*
   Room for `count` floats; whole numbers are given as floats.
   */
  float *data;
  /*
   Exactly as many as the output has.
   */
  size_t count;
} fastnn_output;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 The version of fastnn, such as "0.1.0".
 */
const char *fastnn_version(void);

/*
 What the last call that failed on this thread had to say, with a line `hint: ...`; an empty text
 before any. It stays until the next failure of this thread.
 */
const char *fastnn_last_error(void);

/*
 Sets the number of threads that a call computes with, 1 to 256; by default that of the cores.
 Results do not depend on it.
 */
void fastnn_set_threads(size_t count);

/*
 Reads a model file that `model.save("m.safetensors")` wrote. `*model` is set to null when that
 fails. Give it back with `fastnn_free`.

 # Safety
 `path` is null or ends in a zero byte; `model` is null or points to writable memory.
 */
enum fastnn_status fastnn_load(const char *path, struct fastnn_model **model);

/*
 Gives a model back; null does nothing. No call may be using it.

 # Safety
 `model` is null, or came from `fastnn_load` and was not given back before.
 */
void fastnn_free(struct fastnn_model *model);

/*
 The version of fastnn that wrote the model's file; null for a null model.

 # Safety
 `model` is null or a loaded model.
 */
const char *fastnn_file_version(const struct fastnn_model *model);

/*
 How many inputs a model takes; 0 for a null model.

 # Safety
 `model` is null or a loaded model.
 */
size_t fastnn_inputs(const struct fastnn_model *model);

/*
 How many outputs a model gives; 0 for a null model.

 # Safety
 `model` is null or a loaded model.
 */
size_t fastnn_outputs(const struct fastnn_model *model);

/*
 Says what input number `index` takes.

 # Safety
 `model` is null or a loaded model; `port` is null or points to writable memory.
 */
enum fastnn_status fastnn_input(const struct fastnn_model *model,
                                size_t index,
                                struct fastnn_port *port);

/*
 Says what output number `index` gives.

 # Safety
 `model` is null or a loaded model; `port` is null or points to writable memory.
 */
enum fastnn_status fastnn_output_port(const struct fastnn_model *model,
                                      size_t index,
                                      struct fastnn_port *port);

/*
 Predicts for rows of a model with one input, into the memory for its first output.

 `x` are `x_count` floats, row by row; of an input of whole numbers they are these as floats. `y`
 has room for exactly as many floats as the output has, and does not overlap `x`. A model whose
 input leaves a size besides the rows open finds it from the counts.

 # Safety
 `model` is null or a loaded model; `x` and `y` are null or point to that many floats, of which
 nobody writes those of `x` nor uses those of `y` meanwhile.
 */
enum fastnn_status fastnn_predict(const struct fastnn_model *model,
                                  const float *x,
                                  size_t x_count,
                                  size_t rows,
                                  float *y,
                                  size_t y_count);

/*
 Predicts for any number of inputs and outputs, and any open sizes.

 `inputs` are `input_count` arrays in the order of the model's inputs, `outputs` `output_count`
 places in the order of its outputs; a place with null `data` and count 0 is left out.

 # Safety
 `model` is null or a loaded model; the arrays are null or point to that many entries, whose
 pointers are null or point to memory of the size that they say; nothing overlaps.
 */
enum fastnn_status fastnn_run(const struct fastnn_model *model,
                              const struct fastnn_array *inputs,
                              size_t input_count,
                              const struct fastnn_output *outputs,
                              size_t output_count);

#ifdef __cplusplus
} // extern "C"
#endif // __cplusplus

#endif /* FASTNN_H */
