// title: Facts that answer a customer's question
// description: What the graph knows of products in answer to a question of one of eight kinds, each fact with its best
//   evidence. fits: whether the products go with the targets, as either's text or the catalogue says, of the target
//   itself, its brand or its shelf; without skus whatever goes with the targets and has one of the words in its title;
//   DOES_NOT_FIT means no. value: the attributes named in about, all of them when none is. opinion: praise and blame of
//   the aspects in about, or of all. offer: price and stock. cheaper: what costs less on the same shelf or is a
//   substitute, the most like it first; active, in stock, of the same currency; key is the product that costs more.
//   dearer: likewise what costs as much or more. compared: which of skus and targets texts prefer to which, by name.
//   variants: other versions of the products, active and in stock; key is the product asked about. No row means: not
//   known. `kg ask` makes the parameters from a question in words and a sentence from the rows.
// param asks: STRING in fits|value|opinion|offer|cheaper|dearer|compared|variants -- the kind of question
// param skus: LIST<STRING> -- products that are asked about
// param targets: LIST<STRING> = [] -- fits: products with which they should go; compared: products beside them
// param about: LIST<STRING> = [] -- value: attributes; opinion: keys of aspects; fits: words of titles, lower
//   case, in the singular
// param limit: INTEGER = 50 -- most rows to return
// example: {"asks": "fits", "skus": ["S1"], "targets": ["G1"]}
// returns: sku STRING, title STRING, says STRING, object STRING, key STRING, number FLOAT, texts INTEGER, confidence
//   FLOAT, source STRING, quote STRING, sentence STRING, document STRING, start INTEGER, end INTEGER

CYPHER 25
CALL () {
  WHEN $asks = 'fits' AND size($skus) > 0 THEN {
    UNWIND $skus AS sku
    MATCH (p:Product {sku: sku})
    UNWIND $targets AS target
    MATCH (t:Product {sku: target})
    CALL (p, t) {
      MATCH (p)-[f:ACCESSORY_OF|COMPATIBLE_WITH|DOES_NOT_FIT]-(t)
      RETURN f, t AS x
    UNION ALL
      // What is said of a brand or a shelf is said of its products; sources that agree on one count once.
      MATCH (t)-[:MADE_BY|IN_CATEGORY]->(x)
      WITH DISTINCT p, x
      MATCH (p)-[f:ACCESSORY_OF|COMPATIBLE_WITH|DOES_NOT_FIT]->(x)
      RETURN f, x
    UNION ALL
      MATCH (p)-[:MADE_BY|IN_CATEGORY]->(x)
      WITH DISTINCT t, x
      MATCH (t)-[f:ACCESSORY_OF|COMPATIBLE_WITH|DOES_NOT_FIT]->(x)
      RETURN f, t AS x
    }
    RETURN p, f, type(f) AS says, coalesce(x.title, x.name) AS object, coalesce(x.sku, x.key, x.path) AS key,
           null AS number, CASE WHEN x:Product THEN 1.0 ELSE 0.5 END * coalesce(f.confidence, 1.0) AS weight
  }
  WHEN $asks = 'fits' THEN {
    UNWIND $targets AS target
    MATCH (t:Product {sku: target})
    CALL (t) {
      MATCH (p:Product)-[f:ACCESSORY_OF|COMPATIBLE_WITH|DOES_NOT_FIT]-(t)
      RETURN p, f, 1.0 AS nearness
    UNION ALL
      // A thousand things may fit a brand or a shelf; the most popular of them are enough of an answer.
      MATCH (t)-[:MADE_BY|IN_CATEGORY]->(x)
      WITH DISTINCT t, x
      MATCH (p:Product)-[f:ACCESSORY_OF|COMPATIBLE_WITH|DOES_NOT_FIT]->(x)
      WHERE p <> t
      WITH p, f
      ORDER BY coalesce(p.popularity, 0.0) DESC, p.sku
      LIMIT 1000
      RETURN p, f, 0.5 AS nearness
    }
    FILTER p.active
    // A "cap" is no capo, and a "battery" may be sold as batteries. Chinese, Japanese and Korean have no spaces.
    LET named = reduce(
      t = ' ' + toLower(p.title) + ' ',
      c IN split('- ( ) , . / [ ] " & + : ; | ® ™', ' ') | replace(t, c, ' ')
    )
    FILTER size($about) = 0 OR any(
      word IN $about WHERE any(
        form IN [word, word + 's', word + 'es', replace(word + '|', 'y|', 'ies')]
        WHERE named CONTAINS ' ' + form + ' '
      ) OR word =~ '.*[\\u3040-\\u30ff\\u3400-\\u9fff\\uac00-\\ud7af].*' AND named CONTAINS word
    )
    RETURN p, f, type(f) AS says, t.title AS object, t.sku AS key, null AS number,
           nearness * coalesce(f.confidence, 1.0) AS weight
  }
  WHEN $asks = 'value' THEN {
    UNWIND $skus AS sku
    MATCH (p:Product {sku: sku})-[f:HAS_ATTRIBUTE]->(v:AttributeValue)
    WHERE size($about) = 0 OR v.attribute IN $about
    RETURN p, f, v.attribute AS says, v.value + coalesce(' ' + v.unit, '') AS object, v.key AS key, v.number AS number,
           coalesce(f.confidence, 1.0) AS weight
  }
  WHEN $asks = 'opinion' THEN {
    UNWIND $skus AS sku
    MATCH (p:Product {sku: sku})-[f:PRAISED_FOR|CRITICISED_FOR]->(a:Aspect)
    WHERE size($about) = 0 OR a.key IN $about
    RETURN p, f, type(f) AS says, a.name AS object, a.key AS key, null AS number, 1.0 * coalesce(f.count, 1) AS weight
  }
  WHEN $asks = 'compared' THEN {
    UNWIND $skus AS sku
    MATCH (p:Product {sku: sku})-[f:BETTER_THAN|WORSE_THAN|COMPARED_WITH]->(t:Product)
    WHERE t.sku IN $targets
    RETURN p, f, type(f) AS says, t.title AS object, t.sku AS key, null AS number, 1.0 * coalesce(f.count, 1) AS weight
  }
  WHEN $asks = 'variants' THEN {
    UNWIND $skus AS sku
    MATCH (t:Product {sku: sku})-[:VARIANT_OF]-{1,2}(p:Product)
    WHERE p <> t AND p.active AND coalesce(p.stock, 1) > 0 AND NOT p.sku IN $skus
    WITH DISTINCT t, p
    RETURN p, null AS f, 'VARIANT_OF' AS says, t.title AS object, t.sku AS key, null AS number,
           coalesce(p.popularity, 0.0) AS weight
  }
  WHEN $asks = 'offer' THEN {
    UNWIND $skus AS sku
    MATCH (p:Product {sku: sku})
    CALL (p) {
      FILTER p.price IS NOT NULL
      RETURN 'price' AS says, toString(p.price) + coalesce(' ' + p.currency, '') AS object, p.price AS number
    UNION ALL
      FILTER NOT p.active OR p.stock IS NOT NULL
      LET stock = CASE WHEN p.active THEN p.stock ELSE 0 END
      RETURN 'stock' AS says, toString(stock) AS object, toFloat(stock) AS number
    }
    RETURN p, null AS f, says, object, null AS key, number, 1.0 AS weight
  }
  WHEN $asks IN ['cheaper', 'dearer'] THEN {
    UNWIND $skus AS sku
    MATCH (t:Product {sku: sku})
    CALL (t) {
      MATCH (t)-[:SUBSTITUTE_FOR|VARIANT_OF]-(p:Product)
      RETURN p, 1.0 AS nearness
    UNION ALL
      // The deepest shelf on which the catalogue puts it, or else a text; of what costs less there the most popular.
      MATCH (t)-[on:IN_CATEGORY]->(c:Category)
      WITH c, min(CASE on.source WHEN 'extraction' THEN 1 ELSE 0 END) AS read
      ORDER BY read, size(split(c.path, ' > ')) DESC, c.path
      LIMIT 1
      MATCH (p:Product)-[:IN_CATEGORY]->(c)
      WHERE p.active AND CASE $asks WHEN 'cheaper' THEN p.price < t.price ELSE p.price >= t.price END
      AND coalesce(p.currency, '') = coalesce(t.currency, '') AND coalesce(p.stock, 1) > 0 AND p <> t
      WITH DISTINCT p
      ORDER BY coalesce(p.popularity, 0.0) DESC, p.sku
      LIMIT 1000
      RETURN p, 0.0 AS nearness
    }
    FILTER p.active AND CASE $asks WHEN 'cheaper' THEN p.price < t.price ELSE p.price >= t.price END
    FILTER coalesce(p.currency, '') = coalesce(t.currency, '') AND coalesce(p.stock, 1) > 0 AND p <> t
    WITH t, p, max(nearness) AS nearness
    RETURN p, null AS f, 'price' AS says, toString(p.price) + coalesce(' ' + p.currency, '') AS object, t.sku AS key,
           p.price AS number,
           nearness + coalesce(vector.similarity.cosine(p.text_embedding, t.text_embedding), 0.0) AS weight
  }
}
// Of what is equally sure, a person's word stands first.
WITH p, f, says, object, key, number, weight, CASE f.source WHEN 'curator' THEN 0 ELSE 1 END AS told
ORDER BY weight DESC, told, p.sku, says, object
LIMIT $limit
// The best evidence is looked up for what is shown, through the index on Evidence.fact.
CALL (f) {
  OPTIONAL MATCH (e:Evidence {fact: f.fact})-[:FROM]->(d:Document)
  RETURN e, d
  ORDER BY e.confidence DESC, e.id
  LIMIT 1
}
// The sentence is cut as in product/why.
LET before = split(left(d.text, e.start), ['. ', '! ', '? ', '。', '！', '？', '\n'])[-1],
    after = split(substring(d.text, e.end), ['. ', '! ', '? ', '。', '！', '？', '\n'])[0]
RETURN p.sku AS sku,
       p.title AS title,
       says,
       object,
       key,
       number,
       coalesce(f.count, 1) AS texts,
       coalesce(f.confidence, 1.0) AS confidence,
       coalesce(f.source, 'catalogue') AS source,
       e.quote AS quote,
       trim(substring(d.text, e.start - size(before), size(before) + (e.end - e.start) + size(after) + 1)) AS sentence,
       d.id AS document,
       e.start AS start,
       e.end AS end
ORDER BY weight DESC, told, sku, says, object
