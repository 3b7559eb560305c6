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

/** @param {any} schema @param {any} [root] @param {number} [depth] @returns {unknown} */
export function sampleOf(schema, root = schema, depth = 0) {
  if (schema.examples?.length) return schema.examples[0];
  if ("const" in schema) return schema.const;
  if (schema.enum) return schema.enum[0];
  if ("default" in schema) return schema.default;
  // A type that holds itself ends somewhere.
  if (schema.$ref) return depth > 20 ? null : sampleOf(resolved(schema.$ref, root), root, depth + 1);
  const branches = schema.anyOf ?? schema.oneOf;
  if (branches) return sampleOf(branches[0], root, depth + 1);
  if (schema.allOf) return Object.assign({}, ...schema.allOf.map((/** @type {any} */ one) => sampleOf(one, root)));
  return ofType(schema, root, depth);
}

/** @param {any} schema @param {any} root @param {number} depth */
function ofType(schema, root, depth) {
  switch (schema.type) {
    case "string":
      return FORMATS[schema.format] ?? "text".padEnd(schema.minLength ?? 0, "t").slice(0, schema.maxLength);
    case "integer":
    case "number":
      return number(schema);
    case "boolean":
      return true;
    case "array":
      if (schema.prefixItems) return schema.prefixItems.map((/** @type {any} */ one) => sampleOf(one, root, depth + 1));
      return Array.from({ length: schema.minItems ?? 1 }, () => sampleOf(schema.items ?? {}, root, depth + 1));
    case "object":
      return object(schema, root, depth);
    case "null":
      return null;
    default:
      return {};
  }
}

/** @param {any} schema */
function number(schema) {
  const step = schema.multipleOf ?? 1;
  if (schema.exclusiveMinimum !== undefined) return schema.exclusiveMinimum + step;
  // Whole numbers of JavaScript have limits of their own, which are nobody's example.
  if (schema.minimum !== undefined && schema.minimum > Number.MIN_SAFE_INTEGER) return schema.minimum;
  if (schema.exclusiveMaximum !== undefined) return schema.exclusiveMaximum - step;
  return Math.min(step, schema.maximum ?? step);
}

/** Members that must be there, and those that come with an example. @param {any} schema @param {any} root @param {number} depth */
function object(schema, root, depth) {
  const required = new Set(schema.required ?? []);
  const members = Object.entries(schema.properties ?? {}).filter(([name, one]) => required.has(name) || one.examples);
  return Object.fromEntries(members.map(([name, one]) => [name, sampleOf(one, root, depth + 1)]));
}

/** @param {string} reference @param {any} root */
function resolved(reference, root) {
  return reference === "#" ? root : reference.slice(2).split("/").reduce((place, name) => place[name], root);
}
