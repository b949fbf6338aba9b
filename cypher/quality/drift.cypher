// title: Where the vectors and the relations disagree
// description: Products whose vector of the live model does not say what their relations say: those to which they are
//   explicitly related are no nearer than products at random (z, by how many standard errors their mean cosine exceeds
//   that to $sample products; below 1.645 nothing is shown), fewer than a fifth of the learned relations lie among the
//   50 nearest, or relations were found in texts after the model was written. A few are to be expected, accessories
//   above all; many say that it is time to train. Pages through the products by sku. Without a live model there is no
//   row.
// param after: STRING = '' -- sku after which to go on
// param products: INTEGER = 400 -- most products that are looked at
// param sample: INTEGER in 10..1000 = 100 -- how many products stand for all
// param limit: INTEGER = 100 -- most rows to return
// example: {}
// returns: sku STRING, title STRING, related INTEGER, cosine FLOAT, usual FLOAT, z FLOAT, overlap FLOAT, newer INTEGER,
//   reasons LIST<STRING>

CYPHER 25
CALL () { MATCH (s:Serving {name: 'model'}) RETURN max(s.version) AS version }
MATCH (live:ModelVersion {id: version})
// The first of the page stand for all: skus are in no order of what they name.
CALL (live) {
  MATCH (p:Product)
  WHERE p.sku > $after AND CASE live.slot WHEN 'blue' THEN p.embedding_blue ELSE p.embedding_green END IS NOT NULL
  WITH live, p
  ORDER BY p.sku
  LIMIT $sample
  RETURN collect({
    p: p, vector: CASE live.slot WHEN 'blue' THEN p.embedding_blue ELSE p.embedding_green END
  }) AS others
}
CALL () {
  MATCH (p:Product)
  WHERE p.sku > $after
  RETURN p
  ORDER BY p.sku
  LIMIT $products
}
LET vector = CASE live.slot WHEN 'blue' THEN p.embedding_blue ELSE p.embedding_green END
FILTER p.active AND vector IS NOT NULL
CALL (live, p, vector, others) {
  UNWIND others AS x
  WITH p, x, 2.0 * vector.similarity.cosine(vector, x.vector) - 1.0 AS cosine
  FILTER x.p <> p
  RETURN avg(cosine) AS usual, stdev(cosine) AS spread, count(*) AS compared
}
CALL (live, p, vector) {
  MATCH (p)-[:BOUGHT_WITH|VIEWED_WITH|SUBSTITUTE_FOR|VARIANT_OF|ACCESSORY_OF|COMPATIBLE_WITH]-(q:Product)
  WHERE q <> p
  WITH DISTINCT live, q, vector
  LIMIT 100
  LET other = CASE live.slot WHEN 'blue' THEN q.embedding_blue ELSE q.embedding_green END
  FILTER other IS NOT NULL
  RETURN count(q) AS related, avg(2.0 * vector.similarity.cosine(vector, other) - 1.0) AS cosine
}
CALL (live, p, vector) {
  CALL (live, vector) {
    WHEN live.slot = 'blue' THEN {
      MATCH (q:Product)
        SEARCH q IN (VECTOR INDEX product_embedding_blue FOR vector LIMIT 51)
      RETURN collect(q) AS near
    }
    WHEN live.slot = 'green' THEN {
      MATCH (q:Product)
        SEARCH q IN (VECTOR INDEX product_embedding_green FOR vector LIMIT 51)
      RETURN collect(q) AS near
    }
  }
  OPTIONAL MATCH (p)-[:SIMILAR_TO {model: live.id}]->(q:Product)
  WITH near, q
  ORDER BY q.sku
  RETURN 1.0 * count(CASE WHEN q IN near THEN 1 END) / nullIf(count(q), 0) AS overlap
}
CALL (live, p) {
  MATCH (p)-[r:ACCESSORY_OF|COMPATIBLE_WITH|HAS_ATTRIBUTE|MADE_BY|IN_CATEGORY]->()
  WHERE r.fact IS NOT NULL AND live.at < COLLECT {
    MATCH (e:Evidence {fact: r.fact})
    RETURN min(e.at)
  }[0]
  RETURN count(DISTINCT r.fact) AS newer
}
LET z = CASE WHEN related > 0 AND spread > 0.0 AND compared > 1 THEN (cosine - usual) / (spread / sqrt(related)) END
LET reasons =
  CASE WHEN z < 1.645 THEN ['what it is related to is no nearer than the rest'] ELSE [] END +
  CASE WHEN overlap < 0.2 THEN ['its learned relations lead away from its vector'] ELSE [] END +
  CASE WHEN newer > 0 THEN [newer + ' relations are newer than the model: kg train'] ELSE [] END
FILTER size(reasons) > 0
RETURN p.sku AS sku, p.title AS title, related, cosine, usual, z, overlap, newer, reasons
ORDER BY size(reasons) DESC, z, sku
LIMIT $limit
