//! Where mutants are planted, by rule.

use proc_macro2::Span;
use std::ops::Range;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, BinOp, Block, Expr, ImplItemFn, ItemFn, ItemMod, Local, ReturnType, Signature, Stmt, Type};

/// What a mutant breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A relation is not stated.
    Relation,
    /// A gate of a strip is missing.
    Gate,
    /// A lookup of a strip is missing, or limbs are not looked up.
    Lookup,
    /// A part of a plan or of a circuit is not added.
    Part,
    /// A function that checks something accepts at once.
    Accept,
    /// A statement that checks something is skipped.
    Check,
    /// A condition for a refusal never holds.
    Refusal,
    /// An operand of a condition is left out.
    Condition,
    /// Something is not absorbed.
    Absorb,
    /// A number that has to be random is 0.
    Random,
}

/// A place where a mutant is planted.
#[derive(Clone, Debug)]
pub struct Site {
    pub kind: Kind,
    pub line: usize,
    /// The mutated code, in one line.
    pub code: String,
}

/// Text put before and after a range of the source.
struct Edit {
    range: Range<usize>,
    before: String,
    after: String,
}

/// Plants the mutants of one file; the ids of its sites start at `first`.
pub fn plant(source: &str, layout: bool, first: usize) -> (String, Vec<Site>) {
    let file = syn::parse_file(source).expect("a source file of this workspace");
    let mut rules = Rules { source, layout, first, sites: Vec::new(), edits: Vec::new() };
    rules.visit_file(&file);
    let sites = rules.sites;
    (apply(source, rules.edits), sites)
}

/// Inner edits stand within outer ones.
fn apply(source: &str, edits: Vec<Edit>) -> String {
    // (position, closing first, order at one position, text)
    let mut pieces: Vec<(usize, bool, usize, String)> = Vec::new();
    for (order, edit) in edits.into_iter().enumerate() {
        let Range { start, end } = edit.range;
        // Outer edits are found first: of those that open at one place the first opens first, and closes last.
        pieces.push((start, true, order, edit.before));
        pieces.push((end, false, usize::MAX - order, edit.after));
    }
    pieces.sort();
    let (mut out, mut at) = (String::new(), 0);
    for (position, _, _, text) in pieces {
        out.push_str(&source[at..position]);
        out.push_str(&text);
        at = position;
    }
    out + &source[at..]
}

struct Rules<'s> {
    source: &'s str,
    layout: bool,
    first: usize,
    sites: Vec<Site>,
    edits: Vec<Edit>,
}

const WORK: &str = "::nanozk_mutants::at_work::";

impl Rules<'_> {
    /// A new site: its id as a literal.
    fn site(&mut self, kind: Kind, span: Span) -> String {
        let code: Vec<&str> = self.source[span.byte_range()].split_whitespace().collect();
        let code: String = code.join(" ").chars().take(100).collect();
        self.sites.push(Site { kind, line: span.start().line, code });
        format!("\"{}\"", self.first + self.sites.len() - 1)
    }

    /// The same as a condition.
    fn planted(&mut self, kind: Kind, span: Span) -> String {
        format!("{WORK}is_planted({})", self.site(kind, span))
    }

    fn edit(&mut self, range: Range<usize>, before: impl Into<String>, after: impl Into<String>) {
        self.edits.push(Edit { range, before: before.into(), after: after.into() });
    }

    fn function(&mut self, signature: &Signature, block: &Block) {
        let ReturnType::Type(_, output) = &signature.output else { return };
        let output: String = self.source[output.span().byte_range()].split_whitespace().collect();
        let accepts = match output.as_str() {
            "bool" => "true",
            text if text.starts_with("Result<()") || text.starts_with("io::Result<()") => "Ok(())",
            _ => return,
        };
        let at = block.brace_token.span.open().byte_range().end;
        let planted = self.planted(Kind::Accept, signature.ident.span());
        self.edit(at..at, format!(" if {planted} {{ return {accepts}; }}"), "");
    }

    /// Skips a statement.
    fn skip(&mut self, kind: Kind, stmt: &Stmt) {
        let planted = self.planted(kind, stmt.span());
        self.edit(stmt.span().byte_range(), format!("if !{planted} {{ "), " }");
    }

    /// Leaves out each operand of `&&` or `||`.
    fn operand(&mut self, expr: &Expr, and: bool) {
        match expr {
            Expr::Let(_) => {}
            Expr::Binary(inner) if matches!(inner.op, BinOp::And(_)) == and && is_lazy(&inner.op) => {
                self.operand(&inner.left, and);
                self.operand(&inner.right, and);
            }
            _ => {
                let planted = self.planted(Kind::Condition, expr.span());
                let left_out = if and { format!(") || {planted})") } else { format!(") && !{planted})") };
                self.edit(expr.span().byte_range(), "((", left_out);
            }
        }
        // What stands inside of an operand is visited here, for its conditions are not visited again.
        if !matches!(expr, Expr::Binary(inner) if is_lazy(&inner.op) && matches!(inner.op, BinOp::And(_)) == and) {
            self.visit_expr(expr);
        }
    }
}

fn is_lazy(op: &BinOp) -> bool {
    matches!(op, BinOp::And(_) | BinOp::Or(_))
}

fn is_test(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attr| {
        attr.path().is_ident("test")
            || attr.path().is_ident("cfg") && attr.parse_args::<syn::Ident>().is_ok_and(|ident| ident == "test")
    })
}

/// Whether the block leaves its function at its end.
fn returns(block: &Block) -> bool {
    matches!(block.stmts.last(), Some(Stmt::Expr(Expr::Return(_), _)))
}

/// What skipping the statement breaks.
fn kind_of(expr: &Expr) -> Option<Kind> {
    match expr {
        Expr::Try(inner) => match kind_of(&inner.expr) {
            Some(Kind::Part) | None => Some(Kind::Check),
            kind => kind,
        },
        Expr::MethodCall(call) => match call.method.to_string().as_str() {
            "define" => Some(Kind::Relation),
            "bytes" | "ints" | "points" | "common" | "write" | "absorb" => Some(Kind::Absorb),
            "try_for_each" => Some(Kind::Check),
            // What the user is told of the work.
            "stage" => None,
            // An order, or room for what comes.
            name if ["sort", "dedup", "reserve"].iter().any(|order| name.starts_with(order)) => None,
            _ => Some(Kind::Part),
        },
        Expr::Call(call) => match &*call.func {
            Expr::Path(function) if function.path.is_ident("drop") => None,
            _ => Some(Kind::Part),
        },
        _ => None,
    }
}

impl<'ast> Visit<'ast> for Rules<'_> {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        if !is_test(&item.attrs) && item.sig.constness.is_none() {
            self.function(&item.sig, &item.block);
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        if is_test(&item.attrs) || item.sig.constness.is_some() {
            return;
        }
        let at = item.block.brace_token.span.open().byte_range().end;
        match item.sig.ident.to_string().as_str() {
            "lower_node" => {
                let scope = format!(" let _scope = {WORK}Scope::new(self.node(id).op.name());");
                self.edit(at..at, scope, "");
            }
            _ => self.function(&item.sig, &item.block),
        }
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let display = item.trait_.as_ref().is_some_and(|t| t.1.segments.last().is_some_and(|s| s.ident == "Display"));
        if !display && !is_test(&item.attrs) {
            visit::visit_item_impl(self, item);
        }
    }

    fn visit_type(&mut self, _: &'ast Type) {}

    fn visit_item_const(&mut self, _: &'ast syn::ItemConst) {}

    fn visit_item_static(&mut self, _: &'ast syn::ItemStatic) {}

    fn visit_attribute(&mut self, _: &'ast Attribute) {}

    fn visit_stmt(&mut self, stmt: &'ast Stmt) {
        if let Stmt::Expr(expr, Some(_)) = stmt
            && let Some(kind) = kind_of(expr)
        {
            self.skip(kind, stmt);
        }
        visit::visit_stmt(self, stmt);
    }

    fn visit_local(&mut self, local: &'ast Local) {
        visit::visit_local(self, local);
    }

    fn visit_expr_if(&mut self, expr: &'ast syn::ExprIf) {
        if returns(&expr.then_branch) {
            let planted = self.planted(Kind::Refusal, expr.cond.span());
            let range = expr.cond.span().byte_range();
            match &*expr.cond {
                Expr::Let(_) => self.edit(range, "", format!(" && !{planted}")),
                Expr::Binary(inner) if matches!(inner.op, BinOp::And(_)) => {
                    self.edit(range, "", format!(" && !{planted}"));
                }
                _ => self.edit(range, "(", format!(") && !{planted}")),
            }
        }
        visit::visit_expr_if(self, expr);
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        if let Some((_, guard)) = &arm.guard {
            let planted = self.planted(Kind::Condition, guard.span());
            self.edit(guard.span().byte_range(), "(", format!(") && !{planted}"));
        }
        visit::visit_arm(self, arm);
    }

    fn visit_expr_binary(&mut self, expr: &'ast syn::ExprBinary) {
        if is_lazy(&expr.op) {
            let and = matches!(expr.op, BinOp::And(_));
            self.operand(&expr.left, and);
            self.operand(&expr.right, and);
        } else {
            visit::visit_expr_binary(self, expr);
        }
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let Expr::Path(path) = &*call.func {
            let text: String = self.source[path.span().byte_range()].split_whitespace().collect();
            if text == "Fr::random" || text.ends_with("random_mask") {
                let planted = self.planted(Kind::Random, call.span());
                let before = format!("(if {planted} {{ Default::default() }} else {{ ");
                self.edit(call.span().byte_range(), before, " })");
            }
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if self.layout && call.method == "range" && call.args.len() == 5 {
            let site = self.site(Kind::Lookup, call.span());
            let before = format!("{{ let _call = {WORK}Caller::new({site}); ");
            self.edit(call.span().byte_range(), before, " }");
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_struct(&mut self, expr: &'ast syn::ExprStruct) {
        if self.layout && expr.path.is_ident("Signature") {
            for field in &expr.fields {
                // A list without items has none to leave out.
                let empty = matches!(&field.expr, Expr::Call(call) if call.args.is_empty());
                let syn::Member::Named(name) = &field.member else { continue };
                if empty {
                    continue;
                }
                let kind = match name.to_string().as_str() {
                    "lookups" => Kind::Lookup,
                    "gates" => Kind::Gate,
                    _ => continue,
                };
                let site = self.site(kind, field.span());
                let name = if field.colon_token.is_none() { format!("{name}: ") } else { String::new() };
                let before = format!("{name}{WORK}without({site}, ");
                self.edit(field.expr.span().byte_range(), before, ")");
            }
        }
        visit::visit_expr_struct(self, expr);
    }

    fn visit_expr_path(&mut self, path: &'ast syn::ExprPath) {
        // In the one function that allocates limbs.
        if self.layout && path.path.is_ident("RANGE") && self.in_range(path.span()) {
            let before = format!("(if {WORK}Caller::is_planted() {{ RAW }} else {{ ");
            self.edit(path.span().byte_range(), before, " })");
        }
    }
}

impl Rules<'_> {
    /// Whether the place is in the function that allocates limbs.
    fn in_range(&self, span: Span) -> bool {
        let before = &self.source[..span.byte_range().start];
        before.rfind("fn ").is_some_and(|at| before[at..].starts_with("fn range("))
    }
}
