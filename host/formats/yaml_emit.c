/* SPDX-License-Identifier: Apache-2.0 */
#include "formats/yaml.h"

#include <stdint.h>
#include <yaml.h>

typedef struct yaml_writer {
    yaml_emitter_t emitter;
    sc_text *out;
    semcal_error *error;
} yaml_writer;

static int write_bytes(void *payload, unsigned char *bytes, size_t length)
{
    yaml_writer *writer = payload;
    return sc_text_append(writer->out, (const char *)bytes, length, writer->error) == SEMCAL_OK;
}

static semcal_status put(yaml_writer *writer, yaml_event_t *event, int made)
{
    if (made == 0) {
        return sc_error_set(writer->error, SEMCAL_E_DATA, "cannot write YAML: not valid UTF-8, or out of memory");
    }
    if (yaml_emitter_emit(&writer->emitter, event) == 0) {
        return sc_error_set(writer->error, SEMCAL_E_DATA, "cannot write YAML: %s",
                            writer->emitter.problem != NULL ? writer->emitter.problem : "out of memory");
    }
    return SEMCAL_OK;
}

static bool all_scalars(const sc_yaml_node *node)
{
    for (size_t i = 0; i < node->n; i++) {
        if (node->items[i]->kind != SC_YAML_SCALAR) {
            return false;
        }
    }
    return true;
}

static semcal_status put_scalar(yaml_writer *writer, const sc_yaml_node *node)
{
    yaml_event_t event;
    if (node->length > INT32_MAX) {
        return sc_error_set(writer->error, SEMCAL_E_DATA, "cannot write YAML: a text of %zu bytes", node->length);
    }
    yaml_scalar_style_t style = node->quoted ? YAML_DOUBLE_QUOTED_SCALAR_STYLE : YAML_PLAIN_SCALAR_STYLE;
    int made = yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)node->text, (int)node->length,
                                            !node->quoted, 1, style);
    return put(writer, &event, made);
}

static semcal_status put_node(yaml_writer *writer, const sc_yaml_node *node)
{
    if (node->kind == SC_YAML_SCALAR) {
        return put_scalar(writer, node);
    }
    yaml_event_t event;
    int made;
    if (node->kind == SC_YAML_MAP) {
        made = yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE);
    } else {
        made = yaml_sequence_start_event_initialize(
            &event, NULL, NULL, 1, all_scalars(node) ? YAML_FLOW_SEQUENCE_STYLE : YAML_BLOCK_SEQUENCE_STYLE);
    }
    semcal_status status = put(writer, &event, made);
    for (size_t i = 0; i < node->n && status == SEMCAL_OK; i++) {
        if (node->kind == SC_YAML_MAP) {
            status = put_scalar(writer, node->keys[i]);
        }
        if (status == SEMCAL_OK) {
            status = put_node(writer, node->items[i]);
        }
    }
    if (status != SEMCAL_OK) {
        return status;
    }
    made = node->kind == SC_YAML_MAP ? yaml_mapping_end_event_initialize(&event)
                                     : yaml_sequence_end_event_initialize(&event);
    return put(writer, &event, made);
}

semcal_status sc_yaml_emit(sc_text *out, const sc_yaml_node *root, semcal_error *error)
{
    yaml_writer writer = {.out = out, .error = error};
    if (yaml_emitter_initialize(&writer.emitter) == 0) {
        return sc_error_set(error, SEMCAL_E_MEMORY, "cannot write YAML: out of memory");
    }
    yaml_emitter_set_output(&writer.emitter, write_bytes, &writer);
    yaml_emitter_set_encoding(&writer.emitter, YAML_UTF8_ENCODING);
    yaml_emitter_set_unicode(&writer.emitter, 1);
    yaml_emitter_set_width(&writer.emitter, -1);
    yaml_event_t event;
    semcal_status status = put(&writer, &event, yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING));
    if (status == SEMCAL_OK) {
        status = put(&writer, &event, yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1));
    }
    if (status == SEMCAL_OK) {
        status = put_node(&writer, root);
    }
    if (status == SEMCAL_OK) {
        status = put(&writer, &event, yaml_document_end_event_initialize(&event, 1));
    }
    if (status == SEMCAL_OK) {
        status = put(&writer, &event, yaml_stream_end_event_initialize(&event));
    }
    yaml_emitter_delete(&writer.emitter);
    return status;
}
