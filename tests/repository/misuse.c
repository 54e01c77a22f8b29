/* Calls with null pointers, wrong sizes and files that are none: each is refused, none reads or
 * writes what it should not. Run by test_c_misuse.py, under valgrind. */

#include "fastnn.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WANT(call, status)                                                                    \
    do {                                                                                      \
        int got = (int)(call);                                                                \
        if (got != (int)(status)) {                                                           \
            fprintf(stderr, "line %d: %s gave %d: %s\n", __LINE__, #call, got,                \
                    fastnn_last_error());                                                     \
            return 1;                                                                         \
        }                                                                                     \
        if (got != FASTNN_OK && strstr(fastnn_last_error(), "hint: ") == NULL) {              \
            fprintf(stderr, "line %d: no hint: %s\n", __LINE__, fastnn_last_error());         \
            return 1;                                                                         \
        }                                                                                     \
    } while (0)

int main(int count, char **words) {
    if (count != 4) {
        fprintf(stderr, "usage: misuse MODEL CUT-FILE TEXT-FILE\n");
        return 2;
    }
    fastnn_model *model = (fastnn_model *)words; /* set to null by each load that fails */
    WANT(fastnn_load(NULL, &model), FASTNN_BAD_POINTER);
    WANT(fastnn_load(words[1], NULL), FASTNN_BAD_POINTER);
    WANT(fastnn_load("no such file", &model), FASTNN_IO);
    WANT(fastnn_load("\xff\xfe", &model), FASTNN_BAD_POINTER);
    WANT(fastnn_load(words[2], &model), FASTNN_BAD_FILE);
    WANT(fastnn_load(words[3], &model), FASTNN_BAD_FILE);
    WANT(model != NULL, 0);
    fastnn_free(NULL);
    WANT(fastnn_inputs(NULL) + fastnn_outputs(NULL), 0);
    WANT(fastnn_file_version(NULL) != NULL, 0);

    WANT(fastnn_load(words[1], &model), FASTNN_OK);
    fastnn_port port;
    WANT(fastnn_input(NULL, 0, &port), FASTNN_BAD_POINTER);
    WANT(fastnn_input(model, 0, NULL), FASTNN_BAD_POINTER);
    WANT(fastnn_input(model, 1, &port), FASTNN_BAD_SHAPE);
    WANT(fastnn_output_port(model, (size_t)-1, &port), FASTNN_BAD_SHAPE);
    WANT(fastnn_input(model, 0, &port), FASTNN_OK);
    if (port.rank != 2 || port.shape[0] != -1) {
        fprintf(stderr, "rank %zu\n", port.rank);
        return 1;
    }

    /* Blocks of exactly the right length: one float too far is seen. */
    size_t rows = 3, wide = (size_t)port.shape[1], gives = 2;
    float *x = calloc(rows * wide, sizeof(float)), *y = calloc(rows * gives, sizeof(float));
    if (x == NULL || y == NULL) {
        return 2;
    }
    WANT(fastnn_predict(NULL, x, rows * wide, rows, y, rows * gives), FASTNN_BAD_POINTER);
    WANT(fastnn_predict(model, NULL, rows * wide, rows, y, rows * gives), FASTNN_BAD_POINTER);
    WANT(fastnn_predict(model, x, rows * wide, rows, NULL, rows * gives), FASTNN_BAD_POINTER);
    WANT(fastnn_predict(model, (float *)((char *)x + 1), wide, 1, y, gives), FASTNN_BAD_POINTER);
    WANT(fastnn_predict(model, x, rows * wide, rows + 1, y, rows * gives), FASTNN_BAD_SHAPE);
    WANT(fastnn_predict(model, x, rows * wide - 1, rows, y, rows * gives), FASTNN_BAD_SHAPE);
    WANT(fastnn_predict(model, x, rows * wide, rows, y, rows * gives - 1), FASTNN_BAD_SHAPE);
    WANT(fastnn_predict(model, x, rows * wide, rows, y, (size_t)-1), FASTNN_BAD_SHAPE);
    WANT(fastnn_predict(model, x, (size_t)-1, (size_t)-1, y, rows * gives), FASTNN_BAD_SHAPE);

    size_t shape[] = {rows, wide};
    fastnn_array array = {x, FASTNN_FLOAT32, 2, shape};
    fastnn_output output = {y, rows * gives};
    WANT(fastnn_run(NULL, &array, 1, &output, 1), FASTNN_BAD_POINTER);
    WANT(fastnn_run(model, NULL, 1, &output, 1), FASTNN_BAD_POINTER);
    WANT(fastnn_run(model, &array, 1, NULL, 1), FASTNN_BAD_POINTER);
    WANT(fastnn_run(model, &array, 0, &output, 1), FASTNN_BAD_SHAPE);
    WANT(fastnn_run(model, &array, 1, &output, 0), FASTNN_BAD_SHAPE);
    array.shape = NULL;
    WANT(fastnn_run(model, &array, 1, &output, 1), FASTNN_BAD_POINTER);
    array.shape = shape, array.rank = 1000;
    WANT(fastnn_run(model, &array, 1, &output, 1), FASTNN_BAD_SHAPE);
    array.rank = 2, array.dtype = 77;
    WANT(fastnn_run(model, &array, 1, &output, 1), FASTNN_BAD_DATA);
    array.dtype = FASTNN_INT32; /* converted */
    WANT(fastnn_run(model, &array, 1, &output, 1), FASTNN_OK);
    array.dtype = FASTNN_FLOAT32, array.data = NULL;
    WANT(fastnn_run(model, &array, 1, &output, 1), FASTNN_BAD_POINTER);
    array.data = x, shape[0] = (size_t)-1;
    WANT(fastnn_run(model, &array, 1, &output, 1), FASTNN_BAD_SHAPE);
    shape[0] = (size_t)1 << 62;
    WANT(fastnn_run(model, &array, 1, &output, 1), FASTNN_BAD_SHAPE);
    shape[0] = rows, output.count = 1;
    WANT(fastnn_run(model, &array, 1, &output, 1), FASTNN_BAD_SHAPE);
    output.count = rows * gives, output.data = NULL;
    WANT(fastnn_run(model, &array, 1, &output, 1), FASTNN_BAD_POINTER);

    output.data = y;
    WANT(fastnn_run(model, &array, 1, &output, 1), FASTNN_OK);
    fastnn_set_threads(0);
    fastnn_set_threads((size_t)-1);
    fastnn_set_threads(2);
    WANT(fastnn_predict(model, x, rows * wide, rows, y, rows * gives), FASTNN_OK);
    fastnn_free(model);
    free(x), free(y);
    puts("refused all");
    return 0;
}
