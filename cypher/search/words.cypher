// title: Which words the catalogue knows
// description: For each word in how many products it stands, counted up to a thousand, and, for one that stands in
//   none and begins no brand's name either, the words of titles that are like it (at most two letters differ, by the
//   full-text index), so that the spelling of a search can be corrected: `kg search` takes the nearest and most
//   frequent. A word that only begins the name of a brand has as many products as these brands have. No row for a word
//   that is neither known nor like another.
// param words: LIST<STRING> -- single words, lower case
// param near: BOOLEAN = true -- whether to look for words like those unknown
// example: {"words": ["guitar", "leathr"]}
// returns: word STRING, products INTEGER, near LIST<STRING>

CYPHER 25
UNWIND $words AS word
// What Lucene would read as a command is no part of a word.
LET plain = reduce(
  t = toLower(word),
  c IN split('+ - & | ! ( ) { } [ ] ^ " ~ * ? : \\ / , ;', ' ') | replace(t, c, '')
)
CALL (plain) {
  WHEN 0 < size(plain) <= 64 THEN {
    LET ask = '"' + plain + '"'
    MATCH (p:Product)
      SEARCH p IN (FULLTEXT INDEX product_words FOR ask LIMIT 1000)
    RETURN count(p) AS standing
  }
  ELSE {
    RETURN 0 AS standing
  }
}
// No title need name its maker: "nike" is no misspelt "bike" where Nike is a brand of the shop.
CALL (plain, standing) {
  WHEN standing = 0 AND $near AND size(plain) > 3 THEN {
    MATCH (b:Brand)<-[:MADE_BY]-(p:Product)
    WHERE b.key STARTS WITH plain AND (b.key = plain OR b.key STARTS WITH plain + ' ')
    WITH DISTINCT p
    LIMIT 1000
    RETURN count(p) AS products
  }
  ELSE {
    RETURN standing AS products
  }
}
CALL (plain, products) {
  // Of a longer word Lucene would need minutes, and more memory than a server has.
  WHEN products = 0 AND $near AND 3 < size(plain) <= 32 THEN {
    LET ask = plain + '~'
    MATCH (p:Product)
      SEARCH p IN (FULLTEXT INDEX product_words FOR ask LIMIT 50)
    LET title = reduce(
      t = toLower(p.title),
      c IN split('- / ( ) [ ] , . ; : " & ® ™', ' ') | replace(t, c, ' ')
    )
    UNWIND split(title, ' ') AS other
    FILTER abs(size(other) - size(plain)) <= 2
    WITH DISTINCT other
    ORDER BY other
    RETURN collect(other) AS near
  }
  ELSE {
    RETURN [] AS near
  }
}
FILTER products > 0 OR size(near) > 0
RETURN word, products, near
