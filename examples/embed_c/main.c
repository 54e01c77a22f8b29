/* A C program that answers from a model file: main MODEL ROWS
 * ROWS holds raw little-endian floats, row by row; the answers are printed, a row a line, so that
 * every bit of them can be read again. */

#include <fastnn.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static int failed(const char *what)
{
    fprintf(stderr, "error: %s: %s\n", what, fastnn_last_error());
    return 1;
}

/* The floats of a file; NULL when it cannot be read. */
static float *read_floats(const char *path, size_t *count)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return NULL;
    float *values = NULL;
    long bytes = -1;
    if (fseek(file, 0, SEEK_END) == 0 && (bytes = ftell(file)) > 0 && fseek(file, 0, SEEK_SET) == 0) {
        *count = (size_t)bytes / sizeof(float);
        values = malloc(*count * sizeof(float));
        if (values != NULL && fread(values, sizeof(float), *count, file) != *count) {
            free(values);
            values = NULL;
        }
    }
    fclose(file);
    return values;
}

/* The numbers of a row; 0 where a size is open. */
static size_t width(const fastnn_port *port)
{
    size_t size = 1;
    for (size_t i = 1; i < port->rank; i++) {
        if (port->shape[i] < 0)
            return 0;
        size *= (size_t)port->shape[i];
    }
    return size;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: %s MODEL ROWS\n", argv[0]);
        return 2;
    }
    fastnn_model *model = NULL;
    if (fastnn_load(argv[1], &model) != FASTNN_OK)
        return failed(argv[1]);

    fastnn_port in, out;
    size_t count = 0;
    float *x = NULL, *y = NULL;
    int status = 1;
    if (fastnn_input(model, 0, &in) != FASTNN_OK || fastnn_output_port(model, 0, &out) != FASTNN_OK) {
        failed("ports");
        goto end;
    }
    size_t in_width = width(&in), out_width = width(&out);
    x = read_floats(argv[2], &count);
    if (x == NULL || in_width == 0 || out_width == 0) {
        fprintf(stderr, "error: %s holds no floats, or the model leaves sizes open\n", argv[2]);
        goto end;
    }
    size_t rows = count / in_width;
    y = malloc(rows * out_width * sizeof(float));
    if (y == NULL)
        goto end;
    if (fastnn_predict(model, x, count, rows, y, rows * out_width) != FASTNN_OK) {
        failed("predict");
        goto end;
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < out_width; c++)
            printf("%a%c", (double)y[r * out_width + c], c + 1 == out_width ? '\n' : ' ');
    status = 0;
end:
    free(x);
    free(y);
    fastnn_free(model);
    return status;
}
