// A value that fits a JSON Schema: its examples where it has some, else the plainest value of the type.
// @ts-check

/** @type {Record<string, string>} */
const FORMATS = {
  "date-time": "2026-01-01T00:00:00Z",
  date: "2026-01-01",
  time: "00:00:00Z",
  duration: "PT1M",
  uuid: "00000000-0000-4000-8000-000000000000",
  email: "user@example.com",
  uri: "https://example.com",
  ipv4: "192.0.2.1",
  ipv6: "2001:db8::1",
};

/**
 * `undefined` where there is none: a type that holds itself, and nothing else to choose. `within`: what it is part of.
 * @param {any} schema @param {any} [root] @param {string[]} [within] @returns {unknown}
 */
export function sampleOf(schema, root = schema, within = []) {
  if (schema.examples?.length) return schema.examples[0];
  if ("const" in schema) return schema.const;
  if (schema.enum) return schema.enum[0];
  if ("default" in schema) return schema.default;
  if (schema.$ref) {
    return within.includes(schema.$ref) ? undefined : sampleOf(resolved(schema.$ref, root), root, [...within, schema.$ref]);
  }
  const branches = schema.anyOf ?? schema.oneOf;
  if (branches) return samplesOf(branches, root, within).find((one) => one !== undefined);
  if (schema.allOf) {
    const parts = samplesOf(schema.allOf, root, within);
    return parts.includes(undefined) ? undefined : Object.assign({}, ...parts);
  }
  return ofType(schema, root, within);
}

/** @param {any[]} schemas @param {any} root @param {string[]} within */
const samplesOf = (schemas, root, within) => schemas.map((one) => sampleOf(one, root, within));

/** @param {any} schema @param {any} root @param {string[]} within */
function ofType(schema, root, within) {
  switch (Array.isArray(schema.type) ? schema.type[0] : schema.type) {
    case "string":
      return FORMATS[schema.format] ?? "text".padEnd(schema.minLength ?? 0, "t").slice(0, schema.maxLength);
    case "integer":
    case "number":
      return number(schema);
    case "boolean":
      return true;
    case "array":
      return array(schema, root, within);
    case "object":
      return object(schema, root, within);
    case "null":
      return null;
    default:
      return {};
  }
}

/** @param {any} schema @param {any} root @param {string[]} within */
function array(schema, root, within) {
  if (schema.prefixItems) {
    const items = samplesOf(schema.prefixItems, root, within);
    return items.includes(undefined) ? undefined : items;
  }
  const item = sampleOf(schema.items ?? {}, root, within);
  if (item === undefined) return schema.minItems ? undefined : [];
  return Array.from({ length: Math.min(schema.minItems ?? 1, schema.maxItems ?? Infinity) }, () => item);
}

/** @param {any} schema */
function number(schema) {
  const step = schema.multipleOf ?? 1;
  if (schema.exclusiveMinimum !== undefined) return schema.exclusiveMinimum + step;
  if (schema.minimum !== undefined) return schema.minimum;
  if (schema.exclusiveMaximum !== undefined) return schema.exclusiveMaximum - step;
  return Math.min(step, schema.maximum ?? step);
}

/** Members that must be there, and those that come with an example. @param {any} schema @param {any} root @param {string[]} within */
function object(schema, root, within) {
  const required = new Set(schema.required ?? []);
  const members = Object.entries(schema.properties ?? {}).filter(([name, one]) => required.has(name) || one.examples);
  const made = members.map(([name, one]) => [name, sampleOf(one, root, within)]);
  return made.some(([, one]) => one === undefined) ? undefined : Object.fromEntries(made);
}

/** @param {string} reference @param {any} root */
function resolved(reference, root) {
  return reference === "#" ? root : reference.slice(2).split("/").reduce((place, name) => place[name], root);
}
