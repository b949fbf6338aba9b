// title: Products side by side
// description: One row for each attribute and each aspect that at least one of the products has, and for price and
//   brand: the value of each product in the order of the skus, null where it is not known. Attribute values come from
//   the catalogue and from texts; an aspect is shown as the number of texts that praise and criticise it. What differs
//   comes first.
// param skus: LIST<STRING> -- skus of the products, in the order of the columns
// example: {"skus": ["G1", "S1"]}
// returns: kind STRING, name STRING, values LIST<STRING>, differs BOOLEAN

CYPHER 25
UNWIND range(0, size($skus) - 1) AS place
MATCH (p:Product {sku: $skus[place]})
CALL (p) {
  RETURN 'price' AS kind, 'price' AS name, toString(p.price) + coalesce(' ' + p.currency, '') AS value
UNION ALL
  // A curator outranks the catalogue, and that a text.
  MATCH (p)-[r:MADE_BY]->(b:Brand)
  WITH b, r
  ORDER BY CASE r.source WHEN 'curator' THEN 0 WHEN 'extraction' THEN 2 ELSE 1 END, b.key
  WITH collect(b.name)[0] AS value
  FILTER value IS NOT NULL
  RETURN 'brand' AS kind, 'brand' AS name, value
UNION ALL
  MATCH (p)-[:HAS_ATTRIBUTE]->(v:AttributeValue)
  WITH DISTINCT v.attribute AS name, v.value + coalesce(' ' + v.unit, '') AS value
  ORDER BY value
  WITH name, collect(value) AS values
  RETURN 'attribute' AS kind, name, reduce(t = values[0], v IN values[1..] | t + ', ' + v) AS value
UNION ALL
  MATCH (p)-[f:PRAISED_FOR|CRITICISED_FOR]->(a:Aspect)
  WITH a.name AS name,
       sum(CASE type(f) WHEN 'PRAISED_FOR' THEN coalesce(f.count, 1) ELSE 0 END) AS praised,
       sum(CASE type(f) WHEN 'CRITICISED_FOR' THEN coalesce(f.count, 1) ELSE 0 END) AS criticised
  RETURN 'aspect' AS kind, name, '+' + praised + ' −' + criticised AS value
}
WITH collect({kind: kind, name: name, place: place, value: value}) AS cells
// Each row gets a cell for every product, and then they are put together: to look for each product among the cells that
// a row has takes the square of their number.
CALL (cells) {
  UNWIND cells AS cell
  RETURN cell.kind AS kind, cell.name AS name, cell.place AS place, cell.value AS value
UNION ALL
  UNWIND cells AS cell
  WITH DISTINCT cell.kind AS kind, cell.name AS name
  UNWIND range(0, size($skus) - 1) AS place
  RETURN kind, name, place, null AS value
}
WITH kind, name, place, max(value) AS value
ORDER BY place
WITH kind, name, collect({value: value}) AS row, count(value) AS known, count(DISTINCT value) AS different
LET values = [cell IN row | cell.value], differs = known < size($skus) OR different > 1
RETURN kind, name, values, differs
ORDER BY differs DESC, CASE kind WHEN 'price' THEN 0 WHEN 'brand' THEN 1 WHEN 'attribute' THEN 2 ELSE 3 END, name
